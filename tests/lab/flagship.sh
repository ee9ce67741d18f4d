#!/bin/bash
#
# flagship.sh true|false - the flagship playbook on real hosts, with or without the stand-in for pg_tde.
# Run: TRUEUP=... lab.sh run 3:base tests/lab/flagship.sh false
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
tde=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
passed=0 failed=0
ok() {
    if "${@:2}" >"$out/check" 2>&1; then passed=$((passed + 1)); echo "ok    $1"
    else failed=$((failed + 1)); echo "FAIL  $1"; sed 's/^/      /' "$out/check" | tail -n 40; fi
}
not()    { ! "$@"; }
on()     { "$LAB" ssh "$@"; }
psql()   { on "$1" "cd / && su postgres -c 'psql -XAt'"; }
# trueup VERB ARGS: its output goes to the check that failed, and is kept for the search for the secret.
trueup() {
    "$TRUEUP" "$1" -i inventory/lab.yml --vault-password-file inventory/lab.vault-password -e tde="$tde" "${@:2}" \
        playbooks/pg_streaming_replication.yml 2>&1 | tee -a "$out/said"
    return "${PIPESTATUS[0]}"
}
exits()     { local want=$1 rc=0; shift; "$@" || rc=$?; (( rc == want )) || { echo "exit $rc, not $want"; return 1; }; }
unchanged() { trueup apply | tee "$out/again" && grep -q 'changed=0' "$out/again" && ! grep -qE 'changed=[1-9]' "$out/again"; }
# The secret, as the vault file has it.
canary='correct horse battery staple'
row()       { [[ $(psql "$1" <<<'SELECT v FROM t') == 42 ]]; }
eventually() { local tries; for (( tries = 0; tries < 100; tries++ )); do "$@" && return; done; return 1; }
streaming() { [[ $(psql h1 <<<"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 2 ]]; }
# Every process of the hosts, for as long as an apply lasts.
watch_processes() { while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -F "$canary"; done >"$out/argv"; }

ok 'a plan exits 3 with --exit-code'          exits 3 trueup plan --exit-code
ok '  and changes nothing'                    not on h1 'test -e /etc/postgresql || test -e /etc/postgresql-common'
watch_processes & watcher=$!
ok 'an apply succeeds'                        trueup apply
kill "$watcher"
ok '  and both standbys stream'               streaming
ok 'an apply again changes nothing'           unchanged
ok 'a plan then shows nothing, and exits 0'   exits 0 trueup plan --exit-code
psql h1 <<<'CREATE TABLE t AS SELECT 42 AS v' >/dev/null
for host in h2 h3; do ok "a row of the primary is on $host" eventually row "$host"; done
if [[ $tde == true ]]; then
    psql h1 <<<'CREATE TABLE enc USING tde_heap AS SELECT 42 AS v' >/dev/null
    ok 'an encrypted table is one, on a standby' eventually [ "$(psql h2 <<<"SELECT pg_tde_is_encrypted('enc')")" = t ]
fi

ok 'the password is in no output'             not grep -F "$canary" "$out/said"
ok '  in no command line'                     not grep . "$out/argv"
for host in h1 h2 h3; do
    ok "  in no log or journal of $host"      not on "$host" "grep -rF '$canary' /var/log || journalctl --no-pager | grep -F '$canary'"
done
ok '  and on the server it is a verifier'     [ "$(psql h1 <<<"SELECT rolpassword LIKE 'SCRAM-SHA-256\$4096:%' FROM pg_authid WHERE rolname = 'example_replicator'")" = t ]
ok '  readable by its owner alone'            [ "$(on h2 stat -c '%a %U' /var/lib/postgresql/.pgpass)" = '600 postgres' ]

ok 'a host reboots'                           bash -c "$LAB kill h2 && $LAB start h2"
ok '  and it streams again'                   eventually streaming
ok '  with nothing to do'                     exits 0 trueup plan --exit-code

ok 'a directory of another cluster'           on h3 'systemctl stop postgresql@15-main && cd /var/lib/postgresql/15 && mv main ours && su postgres -c "/usr/lib/postgresql/15/bin/initdb -D /var/lib/postgresql/15/main"'
ok '  is refused'                             exits 2 trueup apply
ok '  and left as it is'                      on h3 'test -e /var/lib/postgresql/15/main/PG_VERSION && ! test -e /var/lib/postgresql/15/main/standby.signal'
ok '  without it, the standby is as before'   on h3 'cd /var/lib/postgresql/15 && rm -rf main && mv ours main && systemctl start postgresql@15-main'
ok '  with nothing to do'                     exits 0 trueup plan --exit-code

echo; echo "$passed passed, $failed failed"
(( failed == 0 ))
