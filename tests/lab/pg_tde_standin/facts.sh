#!/bin/bash
#
# facts.sh - asserts, on a host of the lab, what is known of pg_tde (facts.sql), and that it reaches a standby.
# Run: lab.sh run 2:pg tests/lab/pg_tde_standin/facts.sh
#
# With TRUEUP_PG_BIN, the directory of a real server's programs, of that one instead, on hosts that have no other (2:base).
set -euo pipefail
version=15 package=trueup-pg-tde-standin
if [[ -n ${TRUEUP_PG_BIN:-} ]]; then
    version=$("$TRUEUP_PG_BIN/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/') package=postgresql-$version
fi
config=/etc/postgresql/$version/main data=/var/lib/postgresql/$version/main
here=$(dirname "$(readlink -f "$0")")
on()    { "$LAB" ssh "$@"; }
sql()   { on "$1" "su postgres -c 'cd / && psql -qAtX -v ON_ERROR_STOP=1 -v dir=/var/lib/postgresql/rings ${2:-postgres}'"; }
holds() { [[ $2 == "$3" ]] || { printf 'does not hold: %s\nexpected: %s\ngot:      %s\n' "$@" >&2; exit 1; }; echo "ok    $1"; }

restart="systemctl restart postgresql@$version-main"
preload="mkdir -p $config/conf.d && echo \"shared_preload_libraries = 'pg_tde'\" >$config/conf.d/tde.conf"
for host in h1 h2; do on "$host" "apt-get -qq update && apt-get -qq -y install $package" >/dev/null 2>&1; done

on h1 "$restart; install -d -o postgres -m 0700 /var/lib/postgresql/rings"
holds 'the extension needs preloading' "$(sql h1 <<<'CREATE EXTENSION pg_tde' 2>&1 | grep -o 'pg_tde can only.*' || true)" \
    'pg_tde can only be loaded at server startup. Restart required.'
on h1 "$preload && $restart"
sql h1 <<<'CREATE DATABASE facts; CREATE DATABASE second'
sql h1 facts <"$here/facts.sql"
echo 'ok    facts.sql'
sql h1 second <<<'CREATE EXTENSION pg_tde'
holds 'global providers and the server key are the whole server'"'"'s' \
    "$(sql h1 second <<<'SELECT name, key_name FROM pg_tde_list_all_global_key_providers(), pg_tde_server_key_info()')" 'p|k'

# A standby: the state arrives with the WAL, the key file does not.
on h1 "echo 'host replication all samenet trust' >>$config/pg_hba.conf && echo \"listen_addresses = '*'\" >>$config/conf.d/tde.conf && $restart"
on h2 "$preload && systemctl stop postgresql@$version-main && rm -rf $data && su postgres -c 'cd / && pg_basebackup -h h1 -D $data -R -X stream -c fast'"
not_found='key "k" not found in key provider "p"'
if [[ -n ${TRUEUP_PG_BIN:-} ]]; then
    on h2 "$restart" >/dev/null 2>&1 && { echo 'it started' >&2; exit 1; }
    holds 'without the key file, the standby does not start' \
        "$(on h2 "grep -o 'FATAL: .*' /var/log/postgresql/postgresql-$version-main.log | tail -n 1")" "FATAL:  $not_found"
else
    on h2 "$restart"
    holds 'the standby knows the server key' "$(sql h2 facts <<<'SELECT key_name FROM pg_tde_server_key_info()')" k
    holds 'but has no key file' "$(sql h2 facts <<<'SELECT pg_tde_verify_server_key()' 2>&1 | grep ERROR || true)" "ERROR:  $not_found"
fi
"$LAB" ssh h1 tar -C /var/lib/postgresql -c rings | "$LAB" ssh h2 tar -C /var/lib/postgresql -xp
answers() { sql h2 <<<'SELECT 1' >/dev/null 2>&1; }
if [[ -n ${TRUEUP_PG_BIN:-} ]]; then
    on h2 "$restart"
    for (( tries = 0; tries < 100; tries++ )); do ! answers || break; done
fi
sql h2 facts <<<'SELECT pg_tde_verify_server_key(), pg_tde_verify_key()' >/dev/null
echo 'ok    with the file, the standby verifies'
sql h2 facts <<<"SELECT pg_tde_create_key_using_global_key_provider('made on a standby', 'p')" >/dev/null
echo 'ok    creating a key on a standby succeeds, and writes to its provider'
