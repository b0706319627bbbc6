#!/bin/sh
# The tests of MPI run Debian's MPICH and Open MPI, and the PMI-2 client of Slurm: see that they are there.
set -eu

command -v mpicc.mpich >/dev/null && command -v mpicc.openmpi >/dev/null && command -v cc >/dev/null &&
    ldconfig -p | grep -q libpmi2.so.0 && ldconfig -p | grep -q libpmix.so.2 && exit 0
tools/packages.sh gcc libc6-dev mpich libmpich-dev openmpi-bin libopenmpi-dev libpmix2 libpmi2-0 && exit 0
echo "note: MPI is not installed, tests of it are skipped; as root: apt-get install mpich libmpich-dev openmpi-bin \
libopenmpi-dev libpmi2-0" >&2
