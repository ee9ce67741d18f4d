#!/bin/bash
# Proves that the lab does what its head says.  Run: lab.sh run 3:pg ./smoke.sh
set -uo pipefail
LAB=$(dirname "$(readlink -f "$0")")/lab.sh
passed=0 failed=0
ok()   { if "${@:2}" >/tmp/smoke.out 2>&1; then passed=$((passed+1)); echo "ok    $1"; else failed=$((failed+1)); echo "FAIL  $1"; sed 's/^/      /' /tmp/smoke.out; fi; }
not()  { ! "$@"; }
on()   { "$LAB" ssh "$@"; }
# Its boot is over when it says so, which may need more tries than one.
wait_boot() { for _ in $(seq 100); do on "$1" -o ConnectTimeout=2 systemctl is-system-running --wait && return; sleep 0.1; done; return 1; }

ok "systemd is running on h1"            on h1 systemctl is-system-running
ok "names resolve on the control side"   getent hosts h3
ok "names resolve on the hosts"          on h1 getent hosts h3
ok "hosts reach one another"             on h1 'exec 3<>/dev/tcp/h2/22; head -c 7 <&3 | grep -q SSH-2.0'
ok "nothing else is reachable"           not on h1 'timeout 5 bash -c "exec 3<>/dev/tcp/192.0.2.1/80"'
ok "each host has its own key"           bash -c "[ \$($LAB ssh h1 cat /etc/ssh/ssh_host_ed25519_key.pub | md5sum | cut -c1-32) != \$($LAB ssh h2 cat /etc/ssh/ssh_host_ed25519_key.pub | md5sum | cut -c1-32) ]"
ok "each host has its own machine-id"    bash -c "[ \$($LAB ssh h1 cat /etc/machine-id) != \$($LAB ssh h2 cat /etc/machine-id) ]"
ok "ops may sudo"                        on ops@h1 'test $(sudo -n id -u) = 0'
ok "sudoer needs a password"             not on sudoer@h1 sudo -n true
ok "sudoer's password works"             on sudoer@h1 'echo lab | sudo -S -p "" true'
ok "apt installs a package"              on h1 'apt-get -qq -y install tree && tree --version'
ok "apt installs a service, it starts"   on h1 'apt-get -qq -y install nginx-light && systemctl is-active nginx && systemctl is-enabled nginx'
ok "apt removes it"                      on h1 'apt-get -qq -y purge "nginx*" && ! systemctl is-active nginx && ! test -e /etc/nginx'
ok "users can be made"                   on h1 'useradd -m -s /bin/bash alice && id alice && userdel -r alice'
ok "a unit of one's own"                 on h1 'printf "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/nap.service && systemctl daemon-reload && systemctl enable --now nap && systemctl status nap --no-pager'
ok "sysctl under net."                   on h1 'sysctl -w net.ipv4.ip_forward=1 && ! sysctl -w vm.swappiness=10'
ok "a host's own name and time zone"     on h1 'hostnamectl set-hostname other && test $(hostname) = other && hostnamectl set-hostname h1 && timedatectl set-timezone Europe/Berlin'
ok "reboot from within"                  bash -c "$LAB ssh h1 'cp /proc/sys/kernel/random/boot_id /root/boot_id; systemctl reboot' || true; sleep 1; true"
ok "it comes back"                       wait_boot h1
ok "with a new boot id"                  on h1 '! cmp -s /proc/sys/kernel/random/boot_id /root/boot_id'
ok "what was enabled is started"         on h1 systemctl is-active nap
ok "it still has its address"            on h1 'ip -br a show eth0 | grep -w '"$("$LAB" addr h1)"

ok "PostgreSQL starts on h2"             on h2 'systemctl start postgresql && systemctl is-active postgresql@15-main'
ok "  primary accepts replication"       on h2 'cd / && su postgres -c "psql -qc \"create role rep replication login password '"'pw'"'\" -c \"alter system set listen_addresses='"'*'"'\"" && echo "host replication rep samenet scram-sha-256" >>/etc/postgresql/15/main/pg_hba.conf && systemctl restart postgresql@15-main'
ok "  standby by pg_basebackup on h3"    on h3 'rm -rf /var/lib/postgresql/15/main && cd / && su postgres -c "PGPASSWORD=pw pg_basebackup -h h2 -U rep -D /var/lib/postgresql/15/main -R -X stream -C -S h3" && systemctl start postgresql'
ok "  the standby follows"               on h2 'cd / && su postgres -c "psql -qc \"create table t as select 42 as v\"" && for i in $(seq 50); do test "$(su postgres -c "psql -Atc \"select count(*) from pg_stat_replication where state='"'streaming'"'\"")" = 1 && exit 0; sleep 0.1; done; exit 1'
ok "  and has the row"                   on h3 'cd / && for i in $(seq 50); do test "$(su postgres -c "psql -Atc \"select v from t\"")" = 42 && exit 0; sleep 0.1; done; exit 1'

ok "cut h1"                              "$LAB" cut h1
ok "  then ssh times out"                not on h1 -o ConnectTimeout=2 true
ok "  heal h1"                           "$LAB" heal h1
ok "  then ssh works"                    on h1 -o ConnectTimeout=5 true
ok "freeze h1"                           "$LAB" freeze h1
ok "  then TCP connects, ssh hangs"      bash -c "timeout 2 bash -c 'exec 3<>/dev/tcp/h1/22' && ! $LAB ssh h1 -o ConnectTimeout=2 true"
ok "  thaw h1"                           "$LAB" thaw h1
ok "  then ssh works"                    on h1 true
ok "slow h1"                             "$LAB" slow h1 1mbit
ok "  then 256 KiB take over a second"   bash -c "s=\${EPOCHREALTIME/./}; $LAB ssh h1 head -c 262144 /dev/zero >/dev/null; e=\${EPOCHREALTIME/./}; echo \$((e-s)); (( e-s > 1500000 ))"
ok "  heal h1"                           "$LAB" heal h1
ok "delay h1 by 100 ms"                  "$LAB" delay h1 100
ok "  then a round trip takes 100 ms"    bash -c "s=\${EPOCHREALTIME/./}; exec 3<>/dev/tcp/h1/22; e=\${EPOCHREALTIME/./}; echo \$((e-s)); (( e-s > 95000 && e-s < 350000 ))"
ok "  and data come through unharmed"    bash -c "cmp <($LAB ssh h1 seq 800000) <(seq 800000)"
ok "  heal h1"                           "$LAB" heal h1
ok "  then it does not"                  bash -c "s=\${EPOCHREALTIME/./}; exec 3<>/dev/tcp/h1/22; e=\${EPOCHREALTIME/./}; echo \$((e-s)); (( e-s < 90000 ))"
echo data | on h1 'cat >/root/kept'
ok "kill h2 (the primary)"               "$LAB" kill h2
ok "  it is off"                         bash -c "$LAB status | grep -P '^h2\t.*\toff\t'"
ok "  ssh fails"                         not on h2 -o ConnectTimeout=2 true
ok "  promote the standby"               on h3 'pg_ctlcluster 15 main promote && cd / && su postgres -c "psql -c \"insert into t values (43)\""'
ok "  start h2"                          "$LAB" start h2
ok "  its disk is as it was"             on h2 'systemctl start postgresql && cd / && for i in $(seq 50); do test "$(su postgres -c "psql -Atc \"select v from t\"")" = 42 && exit 0; sleep 0.1; done; exit 1'
ok "poweroff from within"                bash -c "$LAB ssh h1 systemctl poweroff; for i in \$(seq 100); do $LAB status | grep -qP '^h1\t.*\toff\t' && exit 0; sleep 0.1; done; exit 1"
ok "  start h1"                          "$LAB" start h1
ok "  its disk is as it was"             on h1 'test $(cat /root/kept) = data'
ok "reset h1"                            "$LAB" reset h1
ok "  its disk is fresh"                 on h1 'test ! -e /root/kept'
ok "freeze h1, and kill it frozen"       bash -c "$LAB freeze h1 && $LAB kill h1 && $LAB start h1"
ok "no host failed a unit"               bash -c "for h in h1 h2 h3; do $LAB ssh \$h systemctl --failed --no-legend; done | (! grep .)"
echo; echo "$passed passed, $failed failed"
(( failed == 0 ))
