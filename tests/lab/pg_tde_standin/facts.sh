#!/bin/bash
#
# facts.sh - asserts, on a host of the lab, what is known of pg_tde (facts.sql), and that it reaches a standby.
# Run: lab.sh run 2:pg tests/lab/pg_tde_standin/facts.sh
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
on()    { "$LAB" ssh "$@"; }
sql()   { on "$1" "su postgres -c 'cd / && psql -qAtX -v ON_ERROR_STOP=1 -v dir=/var/lib/postgresql/rings ${2:-postgres}'"; }
holds() { [[ $2 == "$3" ]] || { printf 'does not hold: %s\nexpected: %s\ngot:      %s\n' "$@" >&2; exit 1; }; echo "ok    $1"; }

restart='systemctl restart postgresql@15-main'
preload="mkdir -p /etc/postgresql/15/main/conf.d && echo \"shared_preload_libraries = 'pg_tde'\" >/etc/postgresql/15/main/conf.d/tde.conf"
for host in h1 h2; do on "$host" 'apt-get -qq update && apt-get -qq -y install trueup-pg-tde-standin' >/dev/null 2>&1; done

on h1 "$restart; install -d -o postgres -m 0700 /var/lib/postgresql/rings"
holds 'the extension needs preloading' "$(sql h1 <<<'CREATE EXTENSION pg_tde' 2>&1 | grep ERROR || true)" \
    'ERROR:  pg_tde can only be loaded at server startup. Restart required.'
on h1 "$preload && $restart"
sql h1 <<<'CREATE DATABASE facts; CREATE DATABASE second'
sql h1 facts <"$here/facts.sql"
echo 'ok    facts.sql'
sql h1 second <<<'CREATE EXTENSION pg_tde'
holds 'global providers and the server key are the whole server'"'"'s' \
    "$(sql h1 second <<<'SELECT name, key_name FROM pg_tde_list_all_global_key_providers(), pg_tde_server_key_info()')" 'p|k'

# A standby: the state arrives with the WAL, the key file does not.
on h1 "echo 'host replication all samenet trust' >>/etc/postgresql/15/main/pg_hba.conf && echo \"listen_addresses = '*'\" >>/etc/postgresql/15/main/conf.d/tde.conf && $restart"
on h2 "$preload && rm -rf /var/lib/postgresql/15/main && su postgres -c 'cd / && pg_basebackup -h h1 -D /var/lib/postgresql/15/main -R -X stream -c fast' && $restart"
holds 'the standby knows the server key' "$(sql h2 facts <<<'SELECT key_name FROM pg_tde_server_key_info()')" k
holds 'but has no key file' "$(sql h2 facts <<<'SELECT pg_tde_verify_server_key()' 2>&1 | grep ERROR || true)" \
    'ERROR:  key "k" not found in key provider "p"'
"$LAB" ssh h1 tar -C /var/lib/postgresql -c rings | "$LAB" ssh h2 tar -C /var/lib/postgresql -xp
sql h2 facts <<<'SELECT pg_tde_verify_server_key(), pg_tde_verify_key()' >/dev/null
echo 'ok    with the file, the standby verifies'
sql h2 facts <<<"SELECT pg_tde_create_key_using_global_key_provider('made on a standby', 'p')" >/dev/null
echo 'ok    creating a key on a standby succeeds, and writes to its provider'
