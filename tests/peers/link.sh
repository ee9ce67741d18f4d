#!/bin/bash
# The sshd farm behind a slow cable: two network namespaces, and a third between them with ../lab/delay.pl as the cable.
# Nothing leaves them. The hosts have the addresses and names that sshd.sh gives them.
# Usage: link.sh up HOSTS MS [LOSS]  (MS of round trip, LOSS per cent of frames lost)
#        link.sh exec CMD...         run CMD on this side of the cable
#        link.sh down
# Environment, as for sshd.sh and bench.py: BENCH and NET (10.99.1), which must be the same for all three.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
export BENCH=${BENCH:-${CARGO_TARGET_DIR:-$HERE/../../target}/peers-link} NET=${NET:-10.99.1}
NAME=${LINK_NAME:-peers}
near=$NAME-near far=$NAME-far cable=$NAME-cable
case ${1:-} in
up)
  hosts=$2 ms=$3 loss=${4:-0}
  mkdir -p "$BENCH"
  for ns in "$near" "$far" "$cable"; do ip netns add "$ns"; ip -n "$ns" link set lo up; done
  # The addresses of the hardware are of the cable's ends, so that frames for the far side are not taken on the way.
  for side in near far; do
    ip -n "$NAME-$side" link add eth0 type veth peer name "$side" netns "$cable"
    ip -n "$NAME-$side" link set eth0 up
    ip -n "$cable" link set "$side" promisc on up
  done
  ip -n "$near" address add "${NET%.*}.254.1/16" dev eth0
  for i in $(seq 1 "$hosts"); do ip -n "$far" address add "$NET.$i/16" dev eth0; done
  half=$(awk "BEGIN { print $ms / 2 }")
  ip netns exec "$cable" perl "$HERE/../lab/delay.pl" near far "$half" "$loss" >"$BENCH/cable.log" 2>&1 &
  echo $! > "$BENCH/cable.pid"
  for _ in $(seq 50); do grep -q ready "$BENCH/cable.log" && break; sleep 0.1; done
  ip netns exec "$far" "$HERE/sshd.sh" start "$hosts"
  ;;
exec)
  shift
  exec ip netns exec "$near" "$@"
  ;;
down)
  "$HERE/sshd.sh" stop
  if [ -f "$BENCH/cable.pid" ]; then kill "$(cat "$BENCH/cable.pid")" 2>/dev/null || true; rm -f "$BENCH/cable.pid"; fi
  for ns in "$near" "$far" "$cable"; do ip netns delete "$ns" 2>/dev/null || true; done
  ;;
*) sed -n '2,8s/^# //p' "$0"; exit 2 ;;
esac
