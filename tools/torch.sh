#!/bin/sh
# Make the virtual environment $1 with PyTorch: large, so only who asks for it gets it.
# TORCH names another version or build.
set -eu

[ -x "$1/bin/python" ] || "${PYTHON:-python3}" -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check "${TORCH:-torch==2.13.0}" numpy
