#!/bin/bash
#
# pg-bin-deb.sh OUT BIN - make OUT/postgresql-MAJOR_*.deb of the PostgreSQL whose programs are in BIN, on this machine.
#
# The package is as Debian's: the programs are found where postgresql-common looks for them, and installing it makes a
# cluster. It holds links alone; what they point to must be seen at the same path on the host (lab.sh binds it there).
set -euo pipefail
out=$1 bin=$(readlink -f "$2")
version=$("$bin/postgres" --version | sed 's/^.* \([0-9][0-9.]*\).*$/\1/')
major=${version%%.*}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"

mkdir -p "$tree/usr/lib/postgresql/$major" "$tree/DEBIAN"
ln -s "$bin" "$tree/usr/lib/postgresql/$major/bin"
cat >"$tree/DEBIAN/control" <<END2
Package: postgresql-$major
Version: $version+lab
Architecture: all
Depends: postgresql-common, ssl-cert, locales | libc-bin, tzdata
Maintainer: The Trueup developers <trueup@localhost>
Section: database
Priority: optional
Description: PostgreSQL $version of the machine that runs the lab
 Links to its programs.
END2
cat >"$tree/DEBIAN/postinst" <<END2
#!/bin/sh
set -e
[ "\$1" = configure ] || exit 0
. /usr/share/postgresql-common/maintscripts-functions
configure_version $major "\$2"
END2
chmod 0755 "$tree/DEBIAN/postinst"
dpkg-deb --build --root-owner-group "$tree" "$out" >/dev/null
