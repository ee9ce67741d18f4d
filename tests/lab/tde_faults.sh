#!/bin/bash
#
# tde_faults.sh - what goes wrong with an encrypted primary and its standby, each fault planted: it ends as it should, touches no
# cluster that is not ours, and is said in words that somebody can act on. README.md lists which trap is tested where.
# Run: TRUEUP=... lab.sh run 2:base tests/lab/tde_faults.sh
. "$(dirname "$(readlink -f "$0")")/tde_checks.sh"
# Two hosts: the inventory's third is not there.
sed -i '/^ *h3:$/,/replication_slot/d' "$inventory"
ring=/var/lib/postgresql/keyring/pg_tde.per
answers() { [[ $(psql "$1" <<<"$2") == "${3-t}" ]] || { psql "$1" <<<"$2"; return 1; }; }
reads()   { answers "$1" 'SELECT max(v) FROM enc' "$2"; }
again()   { play pg_tde_replication; }

need 'from bare hosts to a primary and a standby'     again
psql h1 <<<'CREATE TABLE enc USING tde_heap AS SELECT 42 AS v; CHECKPOINT'
ok '  it follows'                                     eventually reads h2 42
ok '  it is a standby (trap 1)'                       on h2 "test -e $data/standby.signal"
ok '  it is healthy'                                  unchanged pg_verify

# A key file that is lost, or another one.
both_halves() {
    cat >"$out/task.yml" <<'YAML'
- hosts: h2
  become: true
  become_user: postgres
  tasks: [{ replication_check: { extension: "{{ tde_extension }}" }, register: half }]
- hosts: h1
  become: true
  become_user: postgres
  tasks: [{ replication_check: { slot: tde_slot, standby: "{{ hostvars.h2.half }}", extension: "{{ tde_extension }}" } }]
YAML
}
restart() { task h2 root service <<<"{ name: $unit, state: restarted }"; }
on h2 "mv $ring $ring.away"
ok 'without its key file, a standby streams'          answers h1 "SELECT state FROM pg_stat_replication" streaming
ok '  and calls the table encrypted (trap 3)'         answers h2 "SELECT ${extension}_is_encrypted('enc')"
task h2 postgres tde_verify <<<"extension: $extension"
ok '  tde_verify finds it out'                        refused 'the server key server-key in file-vault can'"'"'t be had' 'not found in key provider "file-vault"'
ok '    and says what to look at'                     said 'is its file, or its server'"'"'s path, the same as on the primary?'
both_halves
ok '  replication_check finds it out (trap 4)'        refused 'on the standby, the server key server-key can'"'"'t be had'
ok '  pg_verify names the file and both hosts'        wrong "$ring (key file of file-vault): h1 has it, h2 has not"
if real; then
    restart
    ok '  it does not start again, and is said why'   refused 'key "server-key" not found in key provider "file-vault"'
fi
need '  put back by the playbook, it starts'          again
ok '    and all is healthy'                           unchanged pg_verify

# Other material under the same name.
on h1 "install -d -o postgres -m 0700 /var/lib/postgresql/other"
psql h1 <<SQL >"$out/log"
SELECT ${extension}_add_global_key_provider_file('other', '/var/lib/postgresql/other/ring');
SELECT ${extension}_create_key_using_global_key_provider('server-key', 'other');
SELECT ${extension}_create_key_using_global_key_provider('default-key', 'other');
SELECT ${extension}_delete_global_key_provider('other');
SQL
"$LAB" ssh h1 cat /var/lib/postgresql/other/ring | on h2 "cat >$ring"
task h2 postgres tde_verify <<<"extension: $extension"
ok 'another key under that name is found out'         refused 'Failed to verify principal key header for key server-key' 'put back the right file'
ok '  pg_verify names the file and both hosts'        wrong 'SHA-256' 'on h1' 'on h2'
if real; then
    restart
    ok '  it does not start again, and is said why'   refused 'Failed to verify principal key header for key server-key'
fi
need '  put right by the playbook, it starts'         again
ok '    and all is healthy'                           unchanged pg_verify

# Trap 5: what is not in place before the first start.
psql h1 <<<'INSERT INTO enc VALUES (43); CHECKPOINT'
on h2 "systemctl stop $unit; rm $config/conf.d/50-replication.conf"
need 'a setting that is lost is back before the start (trap 5)' again
ok '  and all is healthy'                             unchanged pg_verify
if real; then
    on h2 "systemctl stop $unit; mv $config/conf.d/50-replication.conf /root/ && systemctl start $unit"
    psql h1 <<<'INSERT INTO enc VALUES (44); CHECKPOINT'
    eventually answers h1 'SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication' >"$out/log"
    psql h2 <<<'CHECKPOINT' >"$out/log" 2>&1
    on h2 "systemctl stop $unit; mv /root/50-replication.conf $config/conf.d/ && systemctl start $unit"
    task h2 postgres tde_verify <<<$"{extension: $extension, on_disk: true}"
    ok 'a standby that ran without it is found out'   refused 'the table enc'
    need '  copied anew'                              play pg_reclone_standby -e '{reclone: true}'
    ok '  all is healthy'                             unchanged pg_verify
fi

# Trap 8: pg_ctl is content, and there is no server.
on h2 "systemctl stop $unit; printf \"recovery_target = 'immediate'\nrecovery_target_action = 'shutdown'\n\" >$config/conf.d/99-target.conf"
psql h1 <<<'INSERT INTO enc VALUES (45)'
ok 'a start that ends with no server fails (trap 8)'  exits 2 again
ok '  and why is said'                                said 'recovery target'
on h2 "rm $config/conf.d/99-target.conf"
need '  without the cause, it starts'                 again
ok '  it follows'                                     eventually reads h2 45

# Trap 13: a broken line fails no reload.
on h1 "cp -p $config/pg_hba.conf /root/hba && echo 'host all all 10.0.0.0/8 mdfive' >>$config/pg_hba.conf"
ok 'a reload is content with a broken line (trap 13)' answers h1 'SELECT pg_reload_conf()'
ok '  the playbook is not'                            exits 2 again
ok '    and names it'                                 said 'invalid authentication method "mdfive"' "$config/pg_hba.conf line"
ok '  nor is pg_verify'                               wrong 'invalid authentication method "mdfive"'
on h1 "cp -p /root/hba $config/pg_hba.conf"
psql h1 <<<'SELECT pg_reload_conf()' >"$out/log"
ok '  put right, all is healthy'                      unchanged pg_verify

# Directories that will not do. Ours is kept aside, to be put back each time.
system() { on "$1" "$bin/pg_controldata $data" | sed -n 's/^Database system identifier: *//p'; }
mine()   { on h2 "rm -rf $data && cp -a $data.ours $data"; }
# left NAME TEXTS: the directory is refused, with these words, and left as it is.
left() {
    contents h2 >"$out/before"
    ok "$1 is refused"                                exits 2 again
    ok '  and why is said'                            said "${@:2}"
    ok '  and it is left as it was'                   same_as h2 "$out/before"
}
on h2 "systemctl stop $unit && cp -a $data $data.ours"
on h2 "rm -rf $data && su postgres -c '$bin/initdb -D $data'" >"$out/log" 2>&1
left 'a foreign cluster'                              "$(system h1)" "$(system h2)"
cat >"$out/copy" <<YAML
data_directory: $data
primary_host: $("$LAB" addr h1)
user: example_replicator
passfile: /var/lib/postgresql/.pgpass
pg_bin: $bin
extension: $extension
encrypt_wal: aes_128
tde_directory: $data/$extension
YAML
task h2 postgres basebackup <"$out/copy"
ok "  by ${extension}_basebackup too (trap 6)"        refused 'it is another cluster'
ok '  and it is left as it was'                       same_as h2 "$out/before"
on h2 "rm -rf $data && install -d -o postgres -m 0700 $data && echo precious >$data/notes"
left 'a directory with files of somebody'             'it is not empty, and holds no cluster'
mine; on h2 "cd $data && touch backup_manifest.tmp && rm global/pg_control"
left 'half a copy'                                    'it is a base backup that did not come to its end'
mine; on h2 "rm $data/standby.signal && systemctl start $unit && systemctl stop $unit"
left 'what ran read-write (trap 2)'                   'it is a copy that was opened read-write'
on h2 "touch $data/standby.signal && chown postgres: $data/standby.signal"
left '  with standby.signal put there afterwards'     'it is a copy that was opened read-write'
mine; on h2 "systemctl start $unit"
promoted() { answers h2 'SELECT NOT pg_is_in_recovery()'; }
psql h2 <<<'SELECT pg_promote()' >"$out/log"
eventually promoted >"$out/log"
ok 'a standby that was promoted is found out'         wrong 'it was promoted'
on h2 "systemctl stop $unit"
left 'what was promoted'                              'it was promoted: its timeline is 2'
mine
need 'ours, put back, is a standby as before'         again
ok '  and healthy'                                    unchanged pg_verify

# Trap 1: what the how-to says, word for word, and never started.
on h2 "systemctl stop $unit && rm -rf $data && su postgres -c 'cd / && PGPASSFILE=/var/lib/postgresql/.pgpass $bin/pg_basebackup -h $("$LAB" addr h1) -D $data -U example_replicator --wal-method=stream --slot=tde_slot -c fast'"
need 'a copy without standby.signal is made a standby (trap 1)' again
ok '  and healthy'                                    unchanged pg_verify

# Trap 9: the parent is killed; its child, which receives WAL, would keep the slot.
copying() { on h2 "test -s $data.trueup-copy/PG_VERSION"; }
no_copy() { on h2 'test -z "$(pgrep -x pg_basebackup)"'; }
idle()    { answers h1 "SELECT count(*) = 0 FROM pg_stat_replication WHERE application_name = 'pg_basebackup' OR state = 'backup'"; }
killed() {
    local run
    "$LAB" slow h1 8mbit
    again & run=$!
    eventually copying || return
    on h2 'kill -9 $(pgrep -x -o pg_basebackup)'
    "$LAB" heal h1
    wait "$run"
}
on h2 "systemctl stop $unit && rm -rf $data"
ok 'a copy that is killed fails'                      exits 2 killed
ok '  and is said to be'                              said 'pg_basebackup'
ok '  no child of it is left (trap 9)'                eventually no_copy
ok '  nor anything that holds the slot'               eventually idle
ok '  there is no half cluster'                       on h2 "test ! -e $data"
need '  the next apply completes'                     again
ok '  and all is healthy'                             unchanged pg_verify
finish
