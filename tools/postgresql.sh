#!/bin/sh
# The store's tests run on PostgreSQL too, on a server of their own: see that its programs are there.
set -eu

for initdb in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"; do
    [ -x "$initdb" ] && exit 0
done
tools/packages.sh postgresql && exit 0
echo "note: PostgreSQL is not installed, tests on it are skipped; as root: apt-get install postgresql" >&2
