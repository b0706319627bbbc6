#!/bin/sh
# The tests of logins run a real sshd of their own: see that Debian's is there.  Its service is not started.
set -eu

command -v ssh >/dev/null && [ -x /usr/sbin/sshd ] && exit 0
policy=/usr/sbin/policy-rc.d
if [ "$(id -u)" = 0 ] && [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
tools/packages.sh openssh-server openssh-client && exit 0
echo "note: no sshd is installed, tests of logins through it are skipped; as root: apt-get install openssh-server" >&2
