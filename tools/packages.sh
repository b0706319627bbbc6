#!/bin/sh
# Install Debian packages if we may: as root, where there is apt-get.  Exit 1 otherwise, silently.
set -eu

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 1
export DEBIAN_FRONTEND=noninteractive
echo "installing $*" >&2
apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && exit 0
# The lists of a fresh machine are empty, or name packages that have been replaced since.
apt-get update -qq >&2
apt-get install -y -qq --no-install-recommends "$@" >/dev/null
