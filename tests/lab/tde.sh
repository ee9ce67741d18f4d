#!/bin/bash
#
# tde.sh - the life of an encrypted replication, by the playbooks a DBA would copy: each twice, the second time without a change.
# Run: TRUEUP=... lab.sh run 3:base tests/lab/tde.sh
. "$(dirname "$(readlink -f "$0")")/tde_checks.sh"

reads()     { [[ $(psql "$1" <<<'SELECT v FROM enc') == 42 ]]; }

need 'from bare hosts to a primary and a standby'     play pg_tde_replication -l primary:h2
ok '  again: no change'                               unchanged pg_tde_replication -l primary:h2
psql h1 <<<'CREATE TABLE enc USING tde_heap AS SELECT 42 AS v; CHECKPOINT'
ok '  an encrypted table can be read on the standby'  eventually reads h2
ok '  it is healthy'                                  unchanged pg_verify -l primary:h2

# encryption WANTED: of the table big.
encryption() { task h1 postgres tde_table <<<"{ name: big, encrypted: $1, extension: $extension }"; }
encrypted()  { [[ $(psql "$1" <<<"SELECT ${extension}_is_encrypted('big'), count(*) FROM big") == "$2|20000" ]]; }
shown()      { planned && said "$@"; }
psql h1 <<<"CREATE TABLE big AS SELECT i, repeat('x', 200) AS v FROM generate_series(1, 20000) i"
tenths=$(psql h1 <<<"SELECT pg_total_relation_size('big') * 10 / 1048576")
encryption true
ok 'a table to be encrypted: the preview has its size' shown "encrypted (rewrites $((tenths / 10)).$((tenths % 10)) MiB, and locks the table meanwhile)"
ok '  nothing has been done'                          encrypted h1 f
ok '  it is encrypted'                                applied "$out/task.yml"
for host in h1 h2; do ok "    on $host too, with all its rows" eventually encrypted "$host" t; done
ok '    and nothing of it is in the clear on disk'    unchanged pg_verify -l primary:h2
ok '  again: no change'                               planned --exit-code
encryption false
ok '  and back'                                       applied "$out/task.yml"
ok '    on both'                                      eventually encrypted h2 f

# A tablespace, which lies elsewhere on the new standby.
for host in h1 h2; do on "$host" 'install -d -o postgres -m 0700 /var/lib/postgresql/space'; done
psql h1 <<<"CREATE TABLESPACE space LOCATION '/var/lib/postgresql/space'" 2>"$out/log"
psql h1 <<<'CREATE TABLE spaced TABLESPACE space AS SELECT 42 AS v'
place='replication_tablespaces: {/var/lib/postgresql/space: /var/lib/postgresql/space_of_h3}'
on h3 'mkdir -p /var/lib/postgresql/space_of_h3 && touch /var/lib/postgresql/space_of_h3/precious'
ok 'a tablespace whose place is taken is refused'     exits 2 play pg_add_standby -l primary:h3 -e "{$place}"
ok '  and why is said'                                said '/var/lib/postgresql/space_of_h3, is not empty'
on h3 'rm -r /var/lib/postgresql/space_of_h3'
need 'one more standby, its copy verified'            play pg_add_standby -l primary:h3 -e "{$place, replication_verify: true}"
ok '  again: no change'                               unchanged pg_add_standby -l primary:h3 -e "{$place, replication_verify: true}"
spaced() { [[ $(psql h3 <<<"SELECT v, pg_tablespace_location((SELECT oid FROM pg_tablespace WHERE spcname = 'space')) FROM spaced") == '42|/var/lib/postgresql/space_of_h3' ]]; }
ok '  its tablespace lies where it shall'             eventually spaced
psql h1 <<<'DROP TABLE spaced'
psql h1 <<<'DROP TABLESPACE space'
ok '  all are healthy'                                unchanged pg_verify

rotate='{rotate: {use: server, name: server-key-2}}'
keyname() { [[ $(psql "$1" <<<"SELECT key_name FROM ${extension}_server_key_info()") == "$2" ]]; }
need 'another server key'                             play pg_rotate_key -e "$rotate"
ok '  again: no change'                               unchanged pg_rotate_key -e "$rotate"
for host in h1 h2 h3; do ok "  it is in use on $host" keyname "$host" server-key-2; done
ok '  all are healthy'                                unchanged pg_verify
ok '  without rotate, the old one is not set again'   exits 2 play pg_tde_replication
ok '    and that is said'                             said 'it is server-key-2 in file-vault; to set server-key in file-vault would be a rotation'
sed -i 's/name: server-key }/name: server-key-2 }/' "$out/inventory/group_vars/all/replication.yml"
ok '  named in tde_keys, the whole is as it was'      unchanged pg_tde_replication

ring=/var/lib/postgresql/keyring/pg_tde.per
on h3 "cp -a $ring $ring.away && head -c 1000 /dev/urandom >$ring"
ok 'a standby with another key file is found out'     wrong 'SHA-256' 'on h1' 'on h3'
on h3 "rm $ring"
ok '  and one with none'                              wrong 'h1 has it, h3 has not'
on h3 "mv $ring.away $ring && chmod 0640 $ring"
ok '  and one that others can read'                   wrong 'mode 0600 on h1, 0640 on h3'
on h3 "chmod 0600 $ring"
ok '  put right, all are healthy'                     unchanged pg_verify

# WAL that is written while h3 is away, and more than its slot may keep.
on h3 "systemctl stop $unit"
psql h1 <<<"ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'; SELECT pg_reload_conf(); CREATE TABLE w (i int)" >"$out/log"
for (( i = 0; i < 5; i++ )); do psql h1 <<<'INSERT INTO w VALUES (1); SELECT pg_switch_wal()' >"$out/log"; done
psql h1 <<<'CHECKPOINT'
psql h1 <<<'ALTER SYSTEM RESET max_slot_wal_keep_size; SELECT pg_reload_conf()' >"$out/log"
on h3 "systemctl start $unit"
ok 'a standby whose WAL is gone is found out'         wrong 'no longer has the WAL that the slot tde_slot_2 should keep'
need '  copied anew'                                  play pg_reclone_standby -l primary:h3
ok '  again: no change'                               unchanged pg_reclone_standby -l primary:h3
ok '  the old directory is kept'                      on h3 "test -s $data.aside-1/PG_VERSION"
ok '  all are healthy'                                unchanged pg_verify

psql h3 <<<'SELECT pg_promote()' >"$out/log"
ok 'a standby that was promoted is found out'         wrong 'it is not in recovery: it is a server of its own'
on h3 "systemctl stop $unit"
before=$(on h3 "cd $data && find . -type f -exec md5sum {} + | sort")
ok '  it is refused'                                  exits 2 play pg_add_standby -l primary:h3
ok '  and said so'                                    said 'it was promoted'
untouched() { diff <(echo "$before") <(on h3 "cd $data && find . -type f -exec md5sum {} + | sort"); }
ok '  and left as it was'                             untouched
need '  copied anew if that is asked for'             play pg_reclone_standby -l primary:h3 -e '{reclone: true}'
ok '  all are healthy'                                unchanged pg_verify

# Only a real server encrypts its WAL.
if real; then
    reclone='reclone: true'
    encrypts() { psql h1 <<<"ALTER SYSTEM SET $extension.wal_encrypt = $1" && on h1 "systemctl restart $unit"; }
    need 'a primary encrypts its WAL'                 encrypts on
    ok '  a copy that would stream it is refused'     exits 2 play pg_reclone_standby -l primary:h3 -e "{$reclone}"
    ok '    and that is said'                         said 'the primary encrypts its WAL, and a copy that streams it would hold it in the clear'
    ok '  one that fetches it is made'                play pg_reclone_standby -l primary:h3 -e "{$reclone, replication_wal_method: fetch}"
    ok '    and is healthy'                           unchanged pg_verify
    on h1 "tar -C $data -c $extension" | on h3 "tar -C /var/lib/postgresql -x && mv /var/lib/postgresql/$extension /var/lib/postgresql/wal_keys"
    keys='replication_encrypt_wal: aes_128, replication_tde_directory: /var/lib/postgresql/wal_keys'
    ok "  one by ${extension}_basebackup is made"     play pg_reclone_standby -l primary:h3 -e "{$reclone, $keys}"
    ok '    and is healthy'                           unchanged pg_verify
    ok '  without encryption again'                   encrypts off
    ok '    it is refused'                            exits 2 play pg_reclone_standby -l primary:h3 -e "{$reclone, $keys}"
    ok '    and that is said'                         said 'the primary does not encrypt its WAL'
    need '  a plain copy is made'                     play pg_reclone_standby -l primary:h3 -e "{$reclone}"
    ok '    and all are healthy'                      unchanged pg_verify
fi

need 'h2 becomes the primary'                         play pg_switchover -e new_primary=h2
ok '  again: no change'                               unchanged pg_switchover -e new_primary=h2
sed -i 's/^        h1:$/        swap:/; s/^        h2:$/        h1:/; s/^        swap:$/        h2:/' "$inventory"
sed -i "s/$LAB_NET.11/SWAP/; s/$LAB_NET.12/$LAB_NET.11/; s/SWAP/$LAB_NET.12/; s/replication_slot: tde_slot\$/replication_slot: slot_of_h1/" "$inventory"
ok '  the others follow, and all are healthy'         unchanged pg_verify
psql h2 <<<'UPDATE enc SET v = 43'
follows() { [[ $(psql "$1" <<<'SELECT v FROM enc') == 43 ]]; }
for host in h1 h3; do ok "  what it writes reaches $host" eventually follows "$host"; done

need 'one standby goes'                               play pg_teardown -l primary:h3
ok '  again: no change'                               unchanged pg_teardown -l primary:h3
ok '  the other is healthy'                           unchanged pg_verify -l primary:h1
need 'all go'                                         play pg_teardown
ok '  again: no change'                               unchanged pg_teardown
gone() { [[ $(psql h2 <<<"SELECT count(*) FROM pg_replication_slots WHERE slot_name NOT LIKE 'slot_of_h2'") == 0 ]]; }
ok '  no slot is left'                                gone
ok '  the data are all there'                         on h1 "test -s $data/PG_VERSION"
finish
