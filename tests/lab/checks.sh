# shellcheck shell=bash
#
# What the tests on real hosts share: sourced at their head, by what `lab.sh run` starts. Leaves the shell at the top of the
# repository, with a directory of its own in $out, and in $inventory the inventory as a user has it, for the lab that this runs in.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." || exit 1
out=$(mktemp -d)
# What a test leaves running in the background is $watcher.
trap 'rm -rf "$out"; [[ -z ${watcher:-} ]] || kill "$watcher" 2>/dev/null' EXIT
cp -r inventory "$out/inventory"
inventory=$out/inventory/lab.yml vault=$out/inventory/lab.vault-password
sed -i "s|/var/tmp/lab|$LAB_DIR|; s|10\.77\.0\.|$LAB_NET.|" "$inventory"

# The server that TRUEUP_PG_BIN names, and the variables that the playbooks need for it; else the distribution's.
version=15 extension=${TRUEUP_PG_TDE:-pg_tde} server=()
if [[ -n ${TRUEUP_PG_BIN:-} ]]; then
    version=$("$TRUEUP_PG_BIN/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    server=(-e "{postgresql_version: $version, tde_packages: [postgresql-$version], tde_extension: $extension}")
fi

passed=0 failed=0
# ok NAME COMMAND...: a check, which holds if the command succeeds.
ok() {
    if "${@:2}" >"$out/check" 2>&1; then passed=$((passed + 1)); echo "ok    $1"
    else failed=$((failed + 1)); echo "FAIL  $1"; sed 's/^/      /' "$out/check" | tail -n 40; fi
}
# Like ok, but nothing that follows would make sense without it.
need()       { ok "$@"; (( failed == 0 )) || finish; }
finish()     { echo; echo "$passed passed, $failed failed"; (( failed == 0 )); exit; }
not()        { ! "$@"; }
# exits STATUS COMMAND...
exits()      { local want=$1 rc=0; shift; "$@" || rc=$?; (( rc == want )) || { echo "exit status $rc, not $want"; return 1; }; }
eventually() { local until=$((SECONDS + 150)); while (( SECONDS < until )); do "$@" && return; done; return 1; }
on()         { "$LAB" ssh "$@"; }
# said TEXTS: each of them is in what trueup said last, which is in $out/now.
said()       { local text; for text; do grep -qF -e "$text" "$out/now" || { echo "not said: $text"; cat "$out/now"; return 1; }; done; }
