#!/bin/bash
#
# tde_vault.sh - keys in a Vault, on a primary and its standby: from bare hosts to replication, and each way in which a Vault can fail.
# None may end with a key overwritten. Not in CI: it needs a real pg_tde.
# Run: TRUEUP=... TRUEUP_PG_BIN=... lab.sh run 2:base tests/lab/tde_vault.sh
. "$(dirname "$(readlink -f "$0")")/tde_checks.sh"
real || { echo 'needs a real pg_tde: TRUEUP_PG_BIN'; exit 1; }
sed -i '/^ *h3:$/,/replication_slot/d' "$inventory"

state=$out/vault address=$LAB_NET.1 token=/var/lib/postgresql/vault.token ca=/var/lib/postgresql/vault.crt
mkdir "$state"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=vault -addext "subjectAltName=IP:$address" \
    -keyout "$out/vault.key" -out "$out/vault.crt" 2>"$out/log"
up() {
    python3 tests/lab/vault.py "$address" 8200 "$state" "$out/vault.crt" "$out/vault.key" & watcher=$!
    eventually curl -s --cacert "$out/vault.crt" "https://$address:8200/" >"$out/log"
}
down() { kill "$watcher"; wait "$watcher" 2>/dev/null; }
fails() { echo "$1" >"$state/fail"; }
works() { rm "$state/fail"; }
# given TOKEN [URL [MOUNT]]: what the inventory says of the Vault.
given() {
    cat >"$out/inventory/group_vars/all/vault_provider.yml" <<YAML
tde_provider: vault
tde_provider_options:
  { type: vault_v2, url: "${2:-https://$address:8200}", mount_path: ${3:-secret}, token_path: $token, ca_path: $ca }
tde_provider_files:
  - { path: $ca, content: "{{ lookup('file', '$out/vault.crt') }}\n" }
  $( [[ -z $1 ]] || echo "- { path: $token, content: $1 }")
YAML
}
# versions KEY N: so often has it been written.
versions() {
    local n; n=$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1])).get(sys.argv[2], [])))' "$state/secrets.json" "$1")
    [[ $n == "$2" ]] || { echo "$1 has $n versions"; return 1; }
}
no_key()    { test ! -e "$state/secrets.json"; }
replicate() { play pg_tde_replication; }
reads()     { [[ $(psql "$1" <<<'SELECT max(v) FROM enc') == "$2" ]]; }
providers() { [[ $(psql h1 <<<"SELECT count(*) FROM ${extension}_list_all_global_key_providers()") == "$1" ]]; }

echo s3cret-token >"$state/token"
up

given ''
ok 'a provider whose token file is missing fails'     exits 2 replicate
ok '  and the file is named'                          said "could not open file \"$token\"" 'the token'"'"'s file must be on the server, at that path'
given wrong
ok 'one whose token is bad fails'                     exits 2 replicate
ok '  and what to do is said'                         said 'Listing secrets of' 'HTTP 403' 'the token may not list the mount'
given s3cret-token "https://$address:8299"
ok 'one that is not reached fails'                    exits 2 replicate
ok '  and what to do is said'                         said 'HTTP(S) request to keyring provider "vault" failed' 'check its URL and CA'
ok '  none of these was added'                        providers 0
ok '  nor any key written'                            no_key
given s3cret-token '' nowhere
ok 'a mount that is not there: no key can be made'    exits 2 replicate
ok '  and the warning of pg_tde is shown'             said 'failed to get mount info' 'mountpoint "nowhere" (HTTP 404)'
given s3cret-token
fails 500
ok 'reads answer 500: no first key is made'           exits 2 replicate
ok '  and what to do is said'                         said 'failed to retrieve principal key "server-key"' 'returned invalid response 500' 'no key was created'
ok '  nothing was written'                            no_key
works
need 'from bare hosts to a primary and a standby'     replicate
ok '  again: no change'                               unchanged pg_tde_replication
psql h1 <<<'CREATE TABLE enc USING tde_heap AS SELECT 42 AS v; CHECKPOINT'
ok '  an encrypted table can be read on the standby'  eventually reads h2 42
ok '  it is healthy'                                  unchanged pg_verify
for key in server-key default-key; do ok "  $key was written once" versions "$key" 1; done

psql h1 <<<"SELECT ${extension}_create_key_using_global_key_provider('server-key-3', 'vault')" >"$out/log"
# rotate NAME: to that key.
rotate() { play pg_rotate_key -e "{rotate: {use: server, name: $1}}"; }
named()  { [[ $(psql "$1" <<<"SELECT key_name FROM ${extension}_server_key_info()") == "$2" ]]; }
fails 500
ok 'reads answer 500: it is found out'                wrong 'failed to retrieve principal key' 'returned invalid response 500'
ok '  an apply fails'                                 exits 2 replicate
ok '    and what to do is said'                       said 'returned invalid response 500' 'no key was created'
ok '  a rotation to a new key fails'                  exits 2 rotate server-key-2
ok '    and what to do is said'                       said 'failed to retrieve principal key "server-key-2"' 'no key was created'
ok '  a rotation to a key that is there fails'        exits 2 rotate server-key-3
ok '    and what to do is said'                       said 'failed to retrieve principal key "server-key-3"' 'no key was created'
for key in server-key default-key server-key-3; do ok "  $key was not overwritten" versions "$key" 1; done
ok '  server-key-2 was not made'                      versions server-key-2 0
ok '  the key in use is as it was'                    named h1 server-key
# The trap itself (7): what "create, and tolerate that it is there" would have done.
psql h1 <<<"SELECT ${extension}_create_key_using_global_key_provider('server-key-3', 'vault')" >"$out/log" 2>&1
ok '  pg_tde itself overwrites (trap 7)'              versions server-key-3 2
works
need '  answering again, it is healthy'               unchanged pg_verify
need 'another server key'                             rotate server-key-2
ok '  again: no change'                               unchanged pg_rotate_key -e '{rotate: {use: server, name: server-key-2}}'
for host in h1 h2; do ok "  it is in use on $host" named "$host" server-key-2; done
ok '  it was written once'                            versions server-key-2 1
sed -i 's/name: server-key }/name: server-key-2 }/' "$out/inventory/group_vars/all/replication.yml"
ok '  and all is healthy'                             unchanged pg_verify

restart() { task h2 root service <<<"{ name: $unit, state: restarted }"; }
down
ok 'a Vault that is down is found out'                wrong 'HTTP(S) request to keyring provider "vault" failed'
restart
ok '  a standby does not start again, and is said why' refused 'failed to retrieve principal key "server-key-2" from key provider "vault"'
ok '  an apply fails'                                 exits 2 replicate
up
need '  up again, the playbook starts the standby'    replicate
ok '    and all is healthy'                           unchanged pg_verify

on h2 "mv $token $token.away"
ok 'a standby without the token file is found out'    wrong "$token (token of vault): h1 has it, h2 has not"
restart
ok '  it does not start again, and is said why'       refused "could not open file \"$token\""
need '  the playbook puts it there and starts it'     replicate
ok '    and all is healthy'                           unchanged pg_verify

echo other-token >"$state/token"
ok 'a token that holds no more is found out'          wrong 'returned invalid response 403'
restart
ok '  a standby does not start again, and is said why' refused 'failed to retrieve principal key "server-key-2" from key provider "vault"'
given other-token
need '  the new one in the inventory, all start'      replicate
ok '    and all is healthy'                           unchanged pg_verify
psql h1 <<<'INSERT INTO enc VALUES (43)'
ok '    and the standby follows'                      eventually reads h2 43
for key in server-key default-key server-key-2; do ok "  $key was written once, to the end" versions "$key" 1; done

secret_in() { grep -rFe s3cret-token -e other-token "$@"; }
logs_have() { on "$1" 'grep -rlFe s3cret-token -e other-token /var/log'; }
for host in h1 h2; do ok "no token is in a log of $host" not logs_have "$host"; done
down
finish
