#!/bin/bash
# Loopback sshd farm for the benchmarks: HOSTS addresses 127.0.1.1..127.0.1.HOSTS, one port, key auth only.
# OpenSSH allows at most 16 listen sockets per daemon, so ceil(HOSTS/16) daemons are started.
# Usage: sshd.sh start [HOSTS] | stop | status | cpu
set -euo pipefail
BENCH=${BENCH:-${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/../.." && pwd)/target}/peers}
PORT=${PORT:-2222}
NET=${NET:-127.0.1}
ETC=$BENCH/etc
SSHD=${SSHD:-/usr/sbin/sshd}
cmd=${1:-status}
case $cmd in
start)
  n=${2:-100}
  mkdir -p "$ETC" "$BENCH/hosts" /run/sshd
  chmod 755 "$BENCH"
  [ -f "$ETC/hostkey" ] || ssh-keygen -q -t ed25519 -N '' -f "$ETC/hostkey"
  [ -f "$ETC/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$ETC/id"
  cp "$ETC/id.pub" "$ETC/authorized_keys"; chmod 600 "$ETC/authorized_keys" "$ETC/id" "$ETC/hostkey"
  # one line per host: russh's own known_hosts reader does not understand wildcards
  for i in $(seq 1 "$n"); do echo "[$NET.$i]:$PORT $(cut -d' ' -f1,2 "$ETC/hostkey.pub")"; done > "$ETC/known_hosts"
  cat > "$ETC/ssh_config" <<EOC
Host $NET.* h*
  User root
  Port $PORT
  IdentityFile $ETC/id
  IdentitiesOnly yes
  UserKnownHostsFile $ETC/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  BatchMode yes
  LogLevel ERROR
EOC
  for i in $(seq 1 "$n"); do printf 'Host h%03d\n  HostName %s.%d\n' "$i" "$NET" "$i"; done >> "$ETC/ssh_config"
  d=0
  for lo in $(seq 1 16 "$n"); do
    d=$((d+1)); hi=$((lo+15)); [ $hi -le "$n" ] || hi=$n
    {
      for i in $(seq "$lo" "$hi"); do echo "ListenAddress $NET.$i:$PORT"; done
      cat <<EOC
HostKey $ETC/hostkey
PidFile $ETC/sshd.$d.pid
AuthorizedKeysFile $ETC/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 1000
MaxSessions ${MAXSESSIONS:-100}
LogLevel ERROR
# bash sources ~/.bashrc for ssh commands while SHLVL < 2; a heavy one (pyenv init here: ~120 ms) would swamp every number
SetEnv SHLVL=1
Subsystem sftp /usr/lib/openssh/sftp-server
EOC
    } > "$ETC/sshd_config.$d"
    if [ -f "$ETC/sshd.$d.pid" ] && kill -0 "$(cat "$ETC/sshd.$d.pid")" 2>/dev/null; then continue; fi
    "$SSHD" -f "$ETC/sshd_config.$d" -E "$ETC/sshd.$d.log"
  done
  ;;
stop)
  for p in "$ETC"/sshd.*.pid; do [ -f "$p" ] && kill "$(cat "$p")" 2>/dev/null || true; rm -f "$p"; done ;;
status)
  for p in "$ETC"/sshd.*.pid; do [ -f "$p" ] && kill -0 "$(cat "$p")" && echo "$p $(cat "$p") up"; done ;;
cpu) # user+system seconds of the daemons and their waited-for children
  t=0
  for p in "$ETC"/sshd.*.pid; do
    s=$(sed 's/^.*) //' /proc/"$(cat "$p")"/stat); set -- $s; t=$((t + ${12} + ${13} + ${14} + ${15})); done
  echo "scale=2; $t / $(getconf CLK_TCK)" | bc ;;
esac
