#!/bin/sh
# The tests of cgroup v2 run in a virtual machine: see that an emulator and a kernel for it are there.
# The kernel is taken out of Debian's package rather than installed: this machine is not to boot it.
set -eu

kernel=${VENV:-.venv}/vm/vmlinuz

fetch_kernel() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    [ "$(id -u)" = 0 ] && chown _apt "$folder" 2>/dev/null || true
    apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get update -qq >&2 || return 1
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$package" ] || return 1
    echo "fetching $package" >&2
    (cd "$folder" && { apt-get download -qq "$package" || { apt-get update -qq && apt-get download -qq "$package"; }; }) \
        >/dev/null 2>&1 || return 1
    dpkg-deb -x "$folder"/linux-image-*.deb "$folder"
    mkdir -p "$(dirname "$kernel")"
    cp "$folder"/boot/vmlinuz-* "$kernel"
}

if [ "$(uname -m)" != x86_64 ]; then
    echo "note: the virtual machine is for x86_64 only, tests in it are skipped" >&2
    exit 0
fi
command -v qemu-system-x86_64 >/dev/null || tools/packages.sh qemu-system-x86 || {
    echo "note: qemu is not installed, tests in a virtual machine are skipped; as root: apt-get install qemu-system-x86" >&2
    exit 0
}
[ -e "$kernel" ] || fetch_kernel ||
    echo "note: no kernel could be fetched (apt-get download linux-image-cloud-amd64), tests in a virtual machine are skipped" >&2
