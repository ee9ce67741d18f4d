#!/bin/bash
# What `make bench` runs: all that is measured, and the report. Environment: QUICK, FULL, and that of bench.py.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HERE/../../target}
peers=${BENCH:-$CARGO_TARGET_DIR/peers}
out=$peers/results/peers.jsonl
bench() { python3 "$HERE/bench.py" "$@"; }
# Patience with others on the machine, and how long a cell is repeated, in seconds.
quiet=(--quiet 20 --quiet-wait "${QUIET_WAIT:-6}")
budget=15 few=3
[[ -z ${QUICK:-} ]] || { quiet=() budget=1 few=1; }  # What is fast is still repeated.
finish() { "$HERE/sshd.sh" stop; BENCH=$peers-link NET=10.99.1 "$HERE/link.sh" down; }
trap finish EXIT

ulimit -n "$(ulimit -Hn)"
mkdir -p "$peers/results"
rm -f "$out"
"$HERE/sshd.sh" start 200
bench parts
bench gen
bench startup "${quiet[@]}"
bench many --hosts 100,1000,10000 "${quiet[@]}"

if [[ -n ${FULL:-} ]]; then
  bench run "${quiet[@]}" --workloads W0,W1,W2,W3,W7 --hosts 1,10,50
elif [[ -n ${QUICK:-} ]]; then
  bench run "${quiet[@]}" --workloads W0,W1,W2,W3 --hosts 1 --budget $budget
  bench run "${quiet[@]}" --workloads W1,W2 --hosts 50 --budget $budget --peers trueup,bare,pyinfra,ssh
else
  bench run "${quiet[@]}" --workloads W0,W1,W2,W3 --hosts 1 --budget $budget
  bench run "${quiet[@]}" --workloads W1,W2 --hosts 50 --budget $budget --peers trueup,bare,pyinfra,ssh
  # What takes minutes is run once.
  bench run "${quiet[@]}" --workloads W1 --hosts 50 --reps 1 --peers mitogen --phases first
  bench run "${quiet[@]}" --workloads W7 --hosts 1 --reps 1 --peers ansible --phases first
fi
bench run "${quiet[@]}" --workloads W7 --hosts 1 --reps $few --peers trueup,ssh
bench run "${quiet[@]}" --workloads W7 --hosts 50 --reps 1 --no-hash --peers trueup
bench run "${quiet[@]}" --workloads W4,W5 --hosts 1 --peers trueup,ssh
# What is compared closely is repeated more often.
bench run "${quiet[@]}" --workloads W2 --hosts 1,10,50 --reps 7 --budget $budget --peers trueup,bare
bench run "${quiet[@]}" --workloads W2 --hosts 1 --reps 7 --budget $budget --peers trueup-new
if [[ -n ${QUICK:-} ]]; then
  bench fleet --workloads F0,F1
else
  bench fleet --workloads F0,F1,F2
fi

# Behind a cable of 100 ms of round trip; the same losing 2 % of the packets; and of 50 ms, for a long file.
link() {
  (
    export BENCH=$peers-link NET=10.99.1
    name=$1; shift
    "$HERE/link.sh" up 2 "$1" "${2:-0}"
    shift 2
    bench gen
    "$HERE/link.sh" exec python3 "$HERE/bench.py" run --out "$out" --link "$name" --hosts 1 --timeout 600 "$@"
    "$HERE/link.sh" down
  )
}
link "100 ms round trip" 100 0 --workloads W0,W1,W2,W7 --reps $few --peers trueup,bare,ssh
[[ -n ${QUICK:-} ]] || link "100 ms round trip" 100 0 --workloads W1,W2 --reps 1 --peers mitogen,pyinfra
link "100 ms round trip, 2 % lost" 100 2 --workloads W1,W2 --reps 5 --peers trueup,ssh
link "50 ms round trip" 50 0 --workloads W4 --reps $few --peers trueup,ssh

bench results "$out"
