#!/bin/bash
#
# flagship.sh true|false - the flagship playbook on real hosts: with the stand-in for pg_tde, or without it and with bad days.
# Run: TRUEUP=... PREVIEW_AGREES=... lab.sh run 3:base tests/lab/flagship.sh false
#
# With TRUEUP_PG_BIN, the directory of a real server's programs, that one is used. TRUEUP_PG_TDE names its extension where that
# is not pg_tde.
tde=${1:?true or false}
: "${PREVIEW_AGREES:?must name the program preview-agrees, which cargo build -p trueup-tests makes}"
. "$(dirname "$(readlink -f "$0")")/checks.sh"

psql() { on "$1" "cd / && su postgres -c 'psql -XAt'"; }
# trueup VERB ARGS: what it says is in $out/now, and kept in $out/said for the search for the secret.
trueup() {
    local rc=0
    "$TRUEUP" "$1" -i "$inventory" --vault-password-file "$vault" -e tde="$tde" "${server[@]}" "${@:2}" \
        playbooks/pg_streaming_replication.yml >"$out/now" 2>&1 || rc=$?
    tee -a "$out/said" <"$out/now"
    return "$rc"
}
# refused TEXTS: an apply to h3 fails, and says so.
refused() { exits 2 trueup apply -l h3 && said "$@"; }

# All that is on the hosts' disks, but for what a login leaves, and trueup's own agent.
disks() {
    local host
    for host in h1 h2 h3; do
        on "$host" "find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path '/tmp/*' -o -path '/var/tmp/*' \
            -o -path /var/log/journal -o -name wtmp -o -name lastlog \) -prune -o ! -path /var/tmp -printf '$host %p %s %T@ %m %u\n'" | sort
    done
}
same_disks() { disks >"$out/disks.after"; [[ -s $out/disks ]] && diff "$out/disks" "$out/disks.after"; }
streaming()  { [[ $(psql h1 <<<"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 2 ]]; }
row()        { [[ $(psql "$1" <<<'SELECT v FROM t') == 42 ]]; }
# One round trip a host; with pg_tde up to two, since the standbys' key file is what the primary's task has registered.
batches=3; [[ $tde == false ]] || batches=6
unchanged()  { trueup apply --json && not grep -q '"status":"Changed"' "$out/now" && (( $(sed -n 's/.*"batches":\([0-9]*\).*/\1/p' "$out/now") <= batches )); }

# previewed: a plan's events are kept. agrees CERTAIN: an apply that came next did what they say, and that much was certain.
previewed() { trueup plan --json "$@" >/dev/null && cp "$out/now" "$out/planned"; }
agrees()    { "$PREVIEW_AGREES" "$out/planned" "$out/now" | tee "$out/agreement" && (( $(sed -n 's/^certain \([0-9]*\),.*/\1/p' "$out/agreement") >= $1 )); }

# The secret, in a file: it must be in no command line, not even in ours.
"$TRUEUP" vault view --vault-password-file "$vault" inventory/group_vars/all/vault.yml |
    sed -n 's/^vault_replication_password: //p' >"$out/canary"
secret_in()       { grep -Ff "$out/canary" "$@"; }
watch_processes() { while :; do grep -sFlf "$out/canary" /proc/[0-9]*/cmdline; done >"$out/argv"; }
logs_have()       { on "$1" 'cat >/run/canary; grep -rlFf /run/canary /var/log || journalctl --no-pager | grep -Ff /run/canary' <"$out/canary"; }

ok 'there is a secret to look for'            grep -q ........ "$out/canary"
disks >"$out/disks"
ok 'a plan exits 0'                           trueup plan -v
ok '  3 with --exit-code'                     exits 3 trueup plan --exit-code
ok '  and as events'                          previewed
ok '  and changes nothing on any host'        same_disks
watch_processes & watcher=$!
need 'an apply succeeds'                      trueup apply --json
ok '  and does what the plan said'            agrees 10
ok '  and both standbys stream'               eventually streaming
kill "$watcher"
ok "a second apply: no change, $batches batches at most" unchanged
ok 'a plan then shows nothing, and exits 0'   exits 0 trueup plan --exit-code
psql h1 <<<'CREATE TABLE t AS SELECT 42 AS v' >/dev/null
for host in h2 h3; do ok "a row of the primary is on $host" eventually row "$host"; done

# Things have drifted, on hosts that are all known: the plan is certain of each change.
drift() {
    on h1 "sed -i '/10\.[0-9.]*12\/32/d' /etc/postgresql/$version/main/pg_hba.conf; sed -i 's/^max_wal_senders.*/max_wal_senders = 7/' /etc/postgresql/$version/main/conf.d/50-replication.conf" &&
        psql h1 <<<"ALTER ROLE example_replicator PASSWORD 'other' NOREPLICATION" &&
        on h2 "chmod 644 /var/lib/postgresql/.pgpass; systemctl stop postgresql@$version-main"
}
ok 'drift by hand'                            drift
ok '  is shown by a plan'                     previewed
ok '    for a reader too'                     trueup plan
ok '  an apply mends it'                      trueup apply --json
ok '  and does what the plan said'            agrees 40
ok '  and both standbys stream'               eventually streaming
ok '  with nothing left to do'                exits 0 trueup plan --exit-code
encrypted() { [[ $(psql "$1" <<<"SELECT ${extension}_is_encrypted('enc'), v FROM enc") == 't|42' ]]; }
if [[ $tde == true ]]; then
    psql h1 <<<'CREATE TABLE enc USING tde_heap AS SELECT 42 AS v' >/dev/null
    for host in h2 h3; do ok "an encrypted table is one, and read, on $host" eventually encrypted "$host"; done
fi

verifier() { [[ $(psql h1 <<<"SELECT rolpassword LIKE 'SCRAM-SHA-256\$4096:%' FROM pg_authid WHERE rolname = 'example_replicator'") == t ]]; }
private()  { [[ $(on "$1" stat -c '%a:%U' /var/lib/postgresql/.pgpass) == 600:postgres ]]; }
ok 'the password is in no output'             not secret_in "$out/said"
ok '  in no command line'                     not grep . "$out/argv"
for host in h1 h2 h3; do ok "  in no log or journal of $host" not logs_have "$host"; done
ok '  and on the server it is a verifier'     verifier
for host in h2 h3; do ok "  on $host it is readable by postgres alone" private "$host"; done

[[ $tde == false ]] || finish

rebooted() { on h2 -o ConnectTimeout=2 'test ! -e /run/before && systemctl is-system-running --wait'; }
reboot()   { on h2 'touch /run/before; systemctl reboot' || true; eventually rebooted; }
ok 'a standby reboots'                        reboot
ok '  an apply finds it well, or heals it'    trueup apply
ok '  and it streams again'                   eventually streaming
ok '  with nothing left to do'                exits 0 trueup plan --exit-code

data=/var/lib/postgresql/$version/main bin=/usr/lib/postgresql/$version/bin
system()   { on "$1" "$bin/pg_controldata $data" | sed -n 's/^Database system identifier: *//p'; }
contents() { on h3 "cd $data && find . -type f -exec md5sum {} + | sort"; }
untouched() { diff <(echo "$before") <(contents); }
on h3 "systemctl stop postgresql@$version-main && mv $data $data.ours && su postgres -c '$bin/initdb -D $data'" >/dev/null 2>&1
before=$(contents)
ok 'a foreign cluster is refused by its id'   refused "$(system h1)" "$(system h3)"
ok '  and left as it was'                     untouched
on h3 "rm -rf $data && cp -a $data.ours $data && cd $data && touch backup_manifest.tmp && rm global/pg_control"
before=$(contents)
ok 'half a copy is refused'                   refused 'it is a base backup that did not come to its end'
ok '  and left as it was'                     untouched
on h3 "rm -rf $data && cp -a $data.ours $data && rm $data/standby.signal && systemctl start postgresql@$version-main && systemctl stop postgresql@$version-main"
before=$(contents)
ok 'what ran read-write is refused'           refused 'it is a copy that was opened read-write'
ok '  and left as it was'                     untouched

# The cable is pulled in the middle of the copy. The host notices when its own TCP does, so it is waited for.
copying()  { on h3 "test -s $data.trueup-copy/PG_VERSION"; }
no_copy()  { on h3 -o ConnectTimeout=5 'test -z "$(pgrep -x pg_basebackup)"'; }
cut_off() {
    local run
    "$LAB" slow h3 4mbit
    trueup apply -l standbys & run=$!
    eventually copying || return
    "$LAB" cut h3
    wait "$run"
}
on h3 "rm -rf $data $data.ours"
ok 'cut off in the middle of the copy'        exits 4 cut_off
ok '  the host is unreachable, and named'     said 'UNREACHABLE h3'
"$LAB" heal h3
ok '  no pg_basebackup is left behind'        eventually no_copy
ok '  the next apply completes'               trueup apply
ok '  and both stream'                        eventually streaming

sudoer() { trueup apply -l h1 -e ansible_user=sudoer "$@"; }
ok 'no password for sudo fails'               exits 2 sudoer
ok '  and says what to do'                    said 'sudo asks for a password and none was given'
ok 'a wrong one fails'                        exits 2 sudoer -e ansible_become_password=wrong
ok '  and says so'                            said 'sudo refuses the password given'
ok 'the right one does'                       exits 0 trueup plan --exit-code -e ansible_user=sudoer -e ansible_become_password=lab

fingerprint() { ssh-keygen -lf "$1" | cut -d' ' -f2; }
ssh-keygen -q -t ed25519 -N '' -f "$out/other"
sed "s|^\(h2,[0-9.]*\) .*|\1 $(cut -d' ' -f1,2 "$out/other.pub")|" "$LAB_DIR/ssh/known_hosts" >"$out/known_hosts"
on h2 cat /etc/ssh/ssh_host_ed25519_key.pub >"$out/h2.pub"
ok 'a changed host key is refused'            exits 4 trueup apply -e "{ansible_ssh_common_args: -o UserKnownHostsFile=$out/known_hosts}"
ok '  with both fingerprints'                 said 'it has CHANGED' "$(fingerprint "$out/other.pub")" "$(fingerprint "$out/h2.pub")"
echo nonsense >"$out/wrong"
vault=$out/wrong
ok 'a wrong vault password is refused'        exits 4 trueup apply
ok '  and the file is named'                  said 'does not open file' 'group_vars/all/vault.yml'
ok 'the password was in no output, to the end' not secret_in "$out/said"
finish
