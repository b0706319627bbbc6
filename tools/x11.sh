#!/bin/sh
# The tests of --x11 show real X clients on a real display: see that Debian's are there.
set -eu

command -v Xvfb >/dev/null && command -v xauth >/dev/null && command -v xdpyinfo >/dev/null &&
    command -v xwd >/dev/null && exit 0
tools/packages.sh xvfb xauth x11-utils x11-apps && exit 0
echo "note: no X server is installed, tests of --x11 are skipped; as root: apt-get install xvfb xauth x11-utils x11-apps" >&2
