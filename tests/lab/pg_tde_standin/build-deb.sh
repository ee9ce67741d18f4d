#!/bin/bash
#
# build-deb.sh OUT MAJOR - make OUT/trueup-pg-tde-standin_*.deb for PostgreSQL MAJOR, the stand-in for pg_tde that README.md describes.
#
# No compiler is needed: the "library" that shared_preload_libraries = 'pg_tde' loads is a link to a contrib module that
# does nothing at load time (tcn, a trigger function).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
out=$1 major=$2
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"

extension=$tree/usr/share/postgresql/$major/extension library=$tree/usr/lib/postgresql/$major/lib
mkdir -p "$extension" "$library" "$tree/DEBIAN"
install -m 0644 "$here/pg_tde.control" "$here/pg_tde--2.2.sql" "$extension"
ln -s tcn.so "$library/pg_tde.so"
cat >"$tree/DEBIAN/control" <<END
Package: trueup-pg-tde-standin
Version: 2.2
Architecture: all
Depends: postgresql-$major
Maintainer: The Trueup developers <trueup@localhost>
Section: database
Priority: optional
Description: stand-in for pg_tde, for tests
 The functions, states and errors of pg_tde 2.2, and no encryption.
END
dpkg-deb --build --root-owner-group "$tree" "$out" >/dev/null
