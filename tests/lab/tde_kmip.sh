#!/bin/bash
#
# tde_kmip.sh - keys in a KMIP server, on a primary and its standby: from bare hosts to replication, and how it ends when the server is
# not reached or a certificate is not right. Not in CI: it needs a real pg_tde, and PyKMIP:
#
#   python3 -m venv DIR && DIR/bin/pip install pykmip==0.11.0 'sqlalchemy<2'
#
# Run: TRUEUP=... TRUEUP_PG_BIN=... KMIP_SERVER=DIR/bin/pykmip-server lab.sh run 2:base tests/lab/tde_kmip.sh
. "$(dirname "$(readlink -f "$0")")/tde_checks.sh"
real || { echo 'needs a real pg_tde: TRUEUP_PG_BIN'; exit 1; }
: "${KMIP_SERVER:?must name the program pykmip-server}"
sed -i '/^ *h3:$/,/replication_slot/d' "$inventory"

pki=$out/pki address=$LAB_NET.1 home=/var/lib/postgresql
mkdir -p "$pki" "$out/policy"
authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$pki/$1.key" -out "$pki/$1.crt" 2>"$out/log"; }
signed() {
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$pki/$1.key" -out "$pki/$1.csr" 2>"$out/log"
    openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 2 -out "$pki/$1.crt" \
        -extfile <(printf 'subjectAltName=IP:%s\nextendedKeyUsage=%s\n' "$address" "$2") 2>"$out/log"
}
authority ca; authority stranger; signed server serverAuth; signed client clientAuth
cat >"$out/server.conf" <<CONF
[server]
hostname=$address
port=5696
certificate_path=$pki/server.crt
key_path=$pki/server.key
ca_path=$pki/ca.crt
auth_suite=TLS1.2
policy_path=$out/policy
enable_tls_client_auth=True
logging_level=WARNING
database_path=$out/kmip.db
CONF
listens() { bash -c "exec 3<>/dev/tcp/$address/5696" 2>"$out/log"; }
up()   { "$KMIP_SERVER" -f "$out/server.conf" -l "$out/kmip.log" >"$out/kmip.out" 2>&1 & watcher=$!; eventually listens; }
down() { kill -9 "$watcher"; wait "$watcher" 2>/dev/null; }
# given KEY: with that private key, and the client's certificate.
given() {
    file() { printf '  - path: %s/kmip.%s\n    content: |\n' "$home" "$1"; sed 's/^/      /' "$2"; }
    {
        printf 'tde_provider: kmip\ntde_provider_options:\n'
        printf '  { type: kmip, kmip_host: %s, cert_path: %s, key_path: %s, ca_path: %s }\n' \
            "$address" "$home/kmip.crt" "$home/kmip.key" "$home/kmip.ca"
        printf 'tde_provider_files:\n'
        file ca "$pki/ca.crt"; file crt "$pki/client.crt"
        [[ -z $1 ]] || file key "$pki/$1.key"
    } >"$out/inventory/group_vars/all/with_kmip.yml"
}
# made KEY N: so many keys of that name are there.
made() {
    local n; n=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM managed_object_names WHERE name = ?", sys.argv[2:]).fetchone()[0])' "$out/kmip.db" "$1")
    [[ $n == "$2" ]] || { echo "$n keys $1"; return 1; }
}
replicate() { play pg_tde_replication; }
rotate()    { play pg_rotate_key -e "{rotate: {use: server, name: $1}}"; }
named()     { [[ $(psql "$1" <<<"SELECT key_name FROM ${extension}_server_key_info()") == "$2" ]]; }
reads()     { [[ $(psql "$1" <<<'SELECT max(v) FROM enc') == "$2" ]]; }
restart()   { task h2 root service <<<"{ name: $unit, state: restarted }"; }

up
given ''
ok 'a provider without its private key fails'         exits 2 replicate
ok '  and what to do is said'                         said 'SSL error: Loading the client key failed' 'a certificate, a private key or the CA'
given stranger
ok 'one with another private key fails'               exits 2 replicate
ok '  and what to do is said'                         said 'SSL error' 'a certificate, a private key or the CA'
given client
down
ok 'one that is not reached fails'                    exits 2 replicate
ok '  and what to do is said'                         said 'SSL error: BIO_do_connect failed' 'the KMIP server was not reached'
up
need 'from bare hosts to a primary and a standby'     replicate
ok '  again: no change'                               unchanged pg_tde_replication
psql h1 <<<'CREATE TABLE enc USING tde_heap AS SELECT 42 AS v; CHECKPOINT'
ok '  an encrypted table can be read on the standby'  eventually reads h2 42
ok '  it is healthy'                                  unchanged pg_verify
for key in server-key default-key; do ok "  $key was made once" made "$key" 1; done

down
ok 'a server that is down is found out'               wrong 'not found in key provider "kmip"' 'SSL error: BIO_do_connect failed'
# pg_tde says then that there is no such key, and warns: to create it would be to make another of that name.
ok '  a rotation to a new key fails'                  exits 2 rotate server-key-2
ok '    by the warning'                               said 'SSL error: BIO_do_connect failed' 'No key was created'
ok '  the key in use is as it was'                    named h1 server-key
restart
ok '  a standby does not start again, and is said why' refused 'key "server-key" not found in key provider "kmip"'
up
need '  up again, the playbook starts the standby'    replicate
ok '    and all is healthy'                           unchanged pg_verify
ok '  no key was made meanwhile'                      made server-key-2 0

need 'another server key'                             rotate server-key-2
ok '  again: no change'                               unchanged pg_rotate_key -e '{rotate: {use: server, name: server-key-2}}'
for host in h1 h2; do ok "  it is in use on $host" named "$host" server-key-2; done
sed -i 's/name: server-key }/name: server-key-2 }/' "$out/inventory/group_vars/all/replication.yml"

on h2 "cat >$home/kmip.key" <"$pki/stranger.key"
ok 'a standby with another private key is found out'  wrong "$home/kmip.key (private key of kmip): SHA-256"
restart
ok '  it does not start again, and is said why'       refused 'key "server-key-2" not found in key provider "kmip"'
need '  put right by the playbook, it starts'         replicate
ok '    and all is healthy'                           unchanged pg_verify
for key in server-key default-key server-key-2; do ok "  $key was made once, to the end" made "$key" 1; done
down
finish
