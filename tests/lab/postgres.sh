#!/bin/bash
#
# postgres.sh - the modules for PostgreSQL on a real server, from a host that has none.
# Run: TRUEUP=... lab.sh run 1:base tests/lab/postgres.sh
#
# With TRUEUP_PG_BIN, the directory of a real server's programs, of that version; else of the distribution's.
. "$(dirname "$(readlink -f "$0")")/checks.sh"
cp tests/lab/postgres.yml "$out/playbook.yml"

psql()   { on h1 "cd / && su postgres -c 'psql -XAt ${1:-postgres}'"; }
asks()   { [[ $(psql "${2:-postgres}" <<<"$1") == "${3-t}" ]] || { psql "${2:-postgres}" <<<"$1"; return 1; }; }
# trueup VERB ARGS: what it says is in $out/now.
trueup() {
    local rc=0
    "$TRUEUP" "$1" -i "$inventory" --vault-password-file "$vault" -l h1 -e phase="$phase" "${server[@]}" "${@:2}" \
        "$out/playbook.yml" >"$out/now" 2>&1 || rc=$?
    tee -a "$out/said" <"$out/now"
    return "$rc"
}
# task MODULE PARAMS: a playbook of one task.
task() {
    printf -- '- hosts: primary\n  become: true\n  become_user: postgres\n  tasks:\n    - %s:\n' "$1" >"$out/playbook.yml"
    sed 's/^/        /' >>"$out/playbook.yml"
}
# What each task changed or would change, from its events.
diffs() {
    perl -MJSON::PP -ne '
        my $task = eval { decode_json($_)->{Result} } or next;
        next unless @{$task->{diffs}};
        print $task->{task}{name}, " ", JSON::PP->new->canonical->encode($task->{diffs}), "\n";' "$out/now"
}
as_shown() {
    trueup plan --json >/dev/null && diffs >"$out/planned" && trueup apply --json >/dev/null && diffs >"$out/applied" || { cat "$out/now"; return 1; }
    [[ $(wc -l <"$out/planned") -ge $1 ]] || { echo "too few changes"; cat "$out/planned"; return 1; }
    # Whether to restart is told by a task that a preview has not run.
    diff "$out/planned" <(grep -v '^What waits for a restart' "$out/applied") | cut -c 1-1000
    return "${PIPESTATUS[0]}"
}
unchanged() { trueup apply --json && not grep -q '"status":"Changed"' "$out/now"; }

"$TRUEUP" vault view --vault-password-file "$vault" inventory/group_vars/all/vault.yml |
    sed -n 's/^vault_replication_password: //p' >"$out/canary"
comes_in() { on h1 'cd / && read -r PGPASSWORD && export PGPASSWORD && psql -XAt -h 127.0.0.1 -U app -d shop -c "SELECT 1"' <"$out/canary"; }
config=/etc/postgresql/$version/main home=/var/lib/postgresql/$version
hba=$config/pg_hba.conf

phase=1
ok 'there is a secret to look for'                 grep -q ........ "$out/canary"
ok 'a plan without a server exits 0'               trueup plan
ok '  and says after which task it is known'       said 'known after Install PostgreSQL'
ok 'an apply succeeds'                             trueup apply -v --diff
ok '  each setting is in force'                    asks "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN
    ('wal_level', 'work_mem', 'shared_preload_libraries', 'log_min_duration_statement', 'max_wal_senders')" postgres \
    '60000 11 pg_stat_statements logical 65536'
ok '  nothing waits for a restart'                 asks 'SELECT count(*) = 0 FROM pg_settings WHERE pending_restart'
ok '  the rules decide as the preview said'        comes_in
ok '  the password is in no log of the server'     not on h1 'cat >/run/canary; grep -rlFf /run/canary /var/log /etc/postgresql' <"$out/canary"
ok '  the password is in no output'                not grep -Ff "$out/canary" "$out/said"
ok '  what a role makes in a session is its own'    asks "SELECT nspowner::regrole = 'app'::regrole FROM pg_namespace WHERE nspname = 'of_app_1'" shop
ok '  a column may be changed, and no other'        asks "SELECT has_column_privilege('readers', 'sales.items', 'price', 'UPDATE'),
    has_column_privilege('readers', 'sales.items', 'id', 'UPDATE')" shop 't|f'
ok '  a setting may be set, and no more'            asks "SELECT has_parameter_privilege('readers', 'log_min_duration_statement', 'SET'),
    has_parameter_privilege('readers', 'log_min_duration_statement', 'ALTER SYSTEM')" shop 't|f'
psql shop <<<'INSERT INTO sales.items VALUES (2, 20), (-3, 30)' >/dev/null
ok '  what is published is subscribed to'          eventually asks 'SELECT count(*) FROM sales.items' copy 2
ok '  the second cluster has checksums'            on h1 "/usr/lib/postgresql/$version/bin/pg_controldata $home/second | grep 'checksum version: *1'"
ok '  and starts beside the first'                 on h1 "systemctl start postgresql@$version-second && pg_lsclusters -h | grep '$version *second *5433 *online'"
ok 'a second apply changes nothing'                unchanged
ok 'a plan then shows nothing, and exits 0'        exits 0 trueup plan --exit-code
phase=2
ok 'the other phase changes just what was shown'   as_shown 15
ok '  a restart among it'                          grep -q '^What waits for a restart is restarted .*"restarted"' "$out/applied"
ok '  a new migration was executed'                asks "SELECT string_agg(name, ' ' ORDER BY executed) FROM trueup_migrations" shop 'V1__items.sql V2__names.sql'
ok '  privileges are as wanted'                    asks "SELECT has_table_privilege('readers', 'sales.items', 'INSERT')" shop
ok '  libraries to preload were added to'          asks 'SHOW shared_preload_libraries' postgres 'pg_stat_statements, auto_explain'
ok '  the rules decide as the preview said'        not comes_in
ok '  and nothing is left to do'                   exits 0 trueup plan --exit-code

# Trap 13: pg_reload_conf() answers true whatever is in the file.
on h1 "cp $hba /root/hba && echo 'host all all 10.0.0.0/8 mdfive' >>$hba"
task pg_hba <<<'rule: host shop readers 10.1.2.3/32 scram-sha-256'
ok 'a broken line is refused, with its number'     exits 2 trueup apply
ok '  and why'                                     said 'invalid authentication method "mdfive"' "$hba line"
ok '  nothing was written'                         not on h1 "grep 10.1.2.3 $hba"
on h1 "cp /root/hba $hba"
# What else the server reads than the file's lines: it decides as the simulator says.
address=$("$LAB" addr h1)
lets_in() { on h1 "cd / && psql -XAtw -h $address -U $1 -d postgres -c 'SELECT 1'"; }
decided() {
    task pg_hba <<<"connections: [{database: postgres, user: $1, address: $address, expect: $2}]"
    trueup apply
}
on h1 "printf 'app # a friend\n' >$config/friends && sed -i '1i host postgres @friends samenet trust' $hba && chown postgres $config/friends"
psql <<<'SELECT pg_reload_conf()' >"$out/log"
ok 'a file of names and the networks are looked at' decided app trust
ok '  as the server does'                          lets_in app
ok '  for others too'                              decided readers reject
ok '    as the server does'                        not lets_in readers
if (( version >= 16 )); then
    on h1 "mkdir $config/hba.d && echo 'host /^post /read.rs$ samehost trust' >$config/hba.d/1.conf && sed -i '1i include_dir hba.d' $hba"
    psql <<<'SELECT pg_reload_conf(); ALTER ROLE readers LOGIN' >"$out/log"
    ok 'patterns and included files are looked at' decided readers trust
    ok '  as the server does'                      lets_in readers
    on h1 "echo 'host all all all trusty' >>$config/hba.d/1.conf"
    ok 'an error in an included file is refused'   exits 2 decided readers trust
    ok '  and which file is said'                  said "$config/hba.d/1.conf line 2" 'trusty'
fi
on h1 "cp /root/hba $hba"
psql <<<'SELECT pg_reload_conf()' >"$out/log"
# What only the server knows to be wrong.
task pg_hba <<<'rule: host shop readers 10.1.2.3/32 radius'
ok 'what the server refuses is put back'           exits 2 trueup apply
ok '  and why is said'                             said 'radiusservers' 'put back as it was'
ok '  the file is as it was'                       on h1 "cmp /root/hba $hba"
ok '  and so is the server'                        asks 'SELECT count(*) = 0 FROM pg_hba_file_rules WHERE error IS NOT NULL'
# The first match decides.
on h1 "sed -i '1i host postgres all 10.9.0.0/16 reject' $hba"
task pg_hba <<<$'rule: host postgres app 10.9.0.1/32 scram-sha-256\nafter: host postgres'
ok 'a rule that would never decide is refused'     exits 2 trueup apply
ok '  and by which rule'                           said 'would never decide: line 1'
task pg_hba <<<$'rule: host postgres app 10.9.0.1/32 scram-sha-256\nconnections: [{database: postgres, user: app, address: 10.9.0.1}]'
ok 'else it goes where it decides'                 trueup apply --diff
ok '  and what decided before is shown'            said 'line 1: host postgres all 10.9.0.0/16 reject' 'line 1: host postgres app 10.9.0.1/32 scram-sha-256'
# Changed by hand and not loaded. The clock of files is a second wide.
on h1 "sleep 1; sed -i '1i host all all 10.8.0.0/16 reject' $hba; touch -d '+1 minute' $hba"
task pg_hba <<<'rule: host all all 10.8.0.0/16 reject'
ok 'what was not loaded shows'                     exits 3 trueup plan --exit-code
ok '  as that'                                     said 'loaded'
on h1 "touch $hba; sleep 1"

task pg_setting <<<$'settings: {work_mem: 32768kB, shared_preload_libraries: auto_explain}'
ok 'units do not matter, and lists are added to'   exits 0 trueup plan --exit-code
task pg_setting <<<$'name: log_min_duration_statement\nvalue: 5s\npath: '$config/postgresql.conf
ok 'a line that is overruled is refused'           exits 2 trueup apply
ok '  and by which file'                           said '50-lab.conf line 1 sets it too'
ok '  the file is as it was'                       not on h1 "grep '^log_min_duration_statement' $config/postgresql.conf"
task pg_setting <<<$'name: work_mem\nvalue: 5lightyears'
ok 'a value that cannot be is refused'             exits 2 trueup plan
ok '  and what can be is said'                     said 'must be a size such as `64MB`'
task pg_setting <<<$'settings: {max_connections: 150}'
ok 'a restart is never made'                       trueup apply
ok '  but said, until it is done'                  exits 0 trueup apply -v
ok '  each time'                                   said 'in force only after a restart of the server: max_connections'

task pg_slot <<<'name: standby'
ok 'a slot is made'                                trueup apply
task pg_slot <<<$'name: standby\ntype: logical\nplugin: pgoutput'
ok 'a slot of another type is refused'             exits 2 trueup apply
ok '  and said so'                                 said 'another type: physical, not logical'
on h1 'echo "-- changed" >>/var/lib/postgresql/migrations/V1__items.sql'
task sql_file <<<$'path: /var/lib/postgresql/migrations\ndb: shop'
ok 'a migration that was changed is refused'       exits 2 trueup apply
ok '  and named'                                   said 'V1__items.sql: was executed with another content'
task pg_database <<<$'name: copy\nencoding: LATIN1'
ok 'another encoding is refused'                   exits 2 trueup apply
psql copy <<<'ALTER SUBSCRIPTION prices ENABLE' >/dev/null
psql shop <<<'CREATE TABLE sales.more AS SELECT 1 AS i; ALTER PUBLICATION prices ADD TABLE sales.more' >/dev/null
psql copy <<<'CREATE TABLE sales.more (i int)' >/dev/null
subscribed() { asks "SELECT count(*) FROM pg_subscription_rel" copy "$1"; }
ok 'a new table of a publication is not seen'      subscribed 1
task pg_subscription <<<$'db: copy\nname: prices\nstate: refresh'
ok '  but by a refresh'                            trueup apply
ok '  it is'                                       subscribed 2
psql copy <<<'ALTER SUBSCRIPTION prices DISABLE' >/dev/null
ok '  while disabled, it says why not'             exits 2 trueup apply
ok '  and what to do'                              said 'is disabled' 'enabled: true'
task pg_publication <<<$'db: shop\nname: prices\ntables: [sales.items, sales.more]\nrowfilters: {sales.more: "j > 1"}'
ok 'rows by what is no condition are refused'      exits 2 trueup plan
ok '  and why is said'                             said '`j > 1` is no condition' 'column "j" does not exist'
task pg_publication <<<$'db: shop\nname: prices\ntables: [sales.items, sales.more]\nrowfilters: {sales.items: "( id>0 ) AND id < 1000"}'
ok 'the same condition in other words is the same' exits 0 trueup plan --exit-code
task pg_slot <<<$'name: prices\nstate: absent'
psql copy <<<'ALTER SUBSCRIPTION prices ENABLE' >/dev/null
in_use() { asks "SELECT active FROM pg_replication_slots WHERE slot_name = 'prices'"; }
eventually in_use >/dev/null
ok 'a slot in use is not dropped'                  exits 2 trueup apply
ok '  and by whom is said'                         said 'is in use by the process'
task pg_cluster <<<"{version: $version, data_directory: $home/other, name: second}"
ok 'a cluster that is configured elsewhere is refused' exits 2 trueup apply
on h1 "su postgres -c 'mkdir -p $home/third && touch $home/third/precious'"
task pg_cluster <<<"{version: $version, name: third}"
ok 'a directory that is not empty is left alone'   exits 2 trueup apply
ok '  and why is said'                             said 'what is in it is no database cluster'
finish
