#!/bin/sh
# Make the virtual environment $1 with everything that building, testing and the demo need.
# A fresh Debian lacks venv and pip: as root they are installed, an ordinary user is told what to ask for.
set -eu

venv=$1

find_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "no Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
}

have_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null
}

python=$(find_python)
if [ ! -x "$venv/bin/pip" ]; then
    if ! have_venv; then
        tools/packages.sh python3-venv || {
            echo "$python cannot make virtual environments; as root: apt-get install python3-venv" >&2
            exit 1
        }
    fi
    "$python" -m venv "$venv"
fi
# Older ones write programs that load the re module first, which costs each command 5 ms.
"$venv/bin/pip" install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
# The scheduler's inner loops are in C; without a compiler the same code runs in Python.
command -v "${CC:-cc}" >/dev/null || tools/packages.sh gcc libc6-dev || true
"$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[dev]'
