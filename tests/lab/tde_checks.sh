# shellcheck shell=bash
#
# What the tests of an encrypted replication share, beyond checks.sh: sourced at their head.
#
# They run with the stand-in for pg_tde; with TRUEUP_PG_BIN, the directory of a real server's programs, with that one.
# TRUEUP_PG_TDE names its extension where that is not pg_tde.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/checks.sh"
[[ -z ${TRUEUP_PG_BIN:-} ]] || server+=(-e '{tde_verify_on_disk: true}')
# Only a real server encrypts, looks at its keys when it starts, and can be damaged.
real() { [[ -n ${TRUEUP_PG_BIN:-} ]]; }
data=/var/lib/postgresql/$version/main bin=/usr/lib/postgresql/$version/bin config=/etc/postgresql/$version/main
unit=postgresql@$version-main

psql() { on "$1" "cd / && su postgres -c 'psql -qXAt ${2:-postgres}'"; }
# applied PLAYBOOK ARGS: what it says is in $out/now.
applied() {
    local rc=0
    "$TRUEUP" apply -i "$inventory" --vault-password-file "$vault" -e tde=true "${server[@]}" "${@:2}" "$1" >"$out/now" 2>&1 || rc=$?
    cat "$out/now"
    return "$rc"
}
# play NAME ARGS: one of the playbooks for users.
play()      { applied "playbooks/$1.yml" "${@:2}"; }
unchanged() { play "$@" --json && ! grep -q '"status":"Changed"' "$out/now"; }
wrong()     { exits 2 play pg_verify && said "$@"; }
# task HOST USER MODULE <<<PARAMS: a playbook of one task. planned: a preview of it. refused TEXTS: it fails, and says so.
task() {
    printf -- '- hosts: %s\n  become: true\n  become_user: %s\n  tasks:\n    - %s:\n' "$1" "$2" "$3" >"$out/task.yml"
    sed 's/^/        /' >>"$out/task.yml"
}
planned()   { "$TRUEUP" plan -i "$inventory" --vault-password-file "$vault" "${server[@]}" "$@" "$out/task.yml" >"$out/now" 2>&1; }
refused()   { exits 2 applied "$out/task.yml" && said "$@"; }
# What is in a host's data directory.
contents()  { on "$1" "cd $data && find . -type f -exec md5sum {} + | sort"; }
same_as()   { diff "$2" <(contents "$1"); }
