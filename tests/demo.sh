#!/bin/bash
#
# demo.sh - three hosts without PostgreSQL become a primary and two standbys. `make demo` runs it in the lab.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

trueup() {
    local verb=$1; shift
    "$TRUEUP" "$verb" -i inventory/lab.yml --vault-password-file inventory/lab.vault-password "$@" playbooks/pg_streaming_replication.yml
}
# psql on a host, as the database's superuser.
psql() { "$LAB" ssh "$1" "cd / && su postgres -c 'psql -X ${*:2}'"; }
step() { printf '\n\033[1m=== %s\033[0m\n' "$*"; }

step 'The hosts: no PostgreSQL, no Python'
for host in h1 h2 h3; do
    "$LAB" ssh "$host" "printf '%s: ' $host; command -v psql python3 || echo neither"
done

step 'trueup plan: what would change'
trueup plan

step 'trueup apply'
trueup apply

step 'trueup apply, once more: nothing is left to do'
trueup apply

step 'The primary: who replicates from it'
psql h1 <<<'SELECT client_addr, application_name, state, sync_state, replay_lsn FROM pg_stat_replication ORDER BY 1'

step 'A row written on the primary (h1), read on the standbys'
psql h1 -q <<<"CREATE TABLE demo (said text); INSERT INTO demo VALUES ('hello from h1')"
written=$(psql h1 -At <<<'SELECT pg_current_wal_lsn()')
for host in h2 h3; do
    # A standby may be a moment behind: wait until it has replayed what was written.
    for (( tries = 0; tries < 100; tries++ )); do
        [[ $(psql "$host" -At <<<"SELECT pg_last_wal_replay_lsn() >= '$written'") != t ]] || break
    done
    printf '%s: ' "$host"
    psql "$host" -At <<<'SELECT said FROM demo'
done
