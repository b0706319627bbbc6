"""A real sshd of the test's own: on a loopback port, in a mount namespace in which alone its PAM service is there.

Its service is the host's /etc/pam.d/sshd with a rule added to the account and maybe to the session phase, and the user
it lets in has a shell there.  Nothing in /etc is changed, and the distribution's own sshd is not needed to run.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until

SSHD = Path("/usr/sbin/sshd")
_PAM = Path("/etc/pam.d")
_SECRET = "the test's own"
#: pam_exec has no credentials to give, which pam_permit then does.
_AUTH = """\
auth requisite pam_exec.so expose_authtok quiet {check}
auth required pam_permit.so
"""
_CONF = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
UsePAM yes
StrictModes no
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
"""
#: /run is sshd's folder without privileges; the rest is what PAM and the C library read.
_START = """\
mount --bind {folder}/pam.d /etc/pam.d && mount --bind {folder}/passwd /etc/passwd && mount -t tmpfs run /run &&
mkdir -m 755 /run/sshd && exec {sshd} -D -e -f {folder}/conf
"""


def missing() -> str:
    """Return what an sshd of one's own lacks here, "" for nothing."""
    if os.geteuid() != 0:
        return "only root's sshd lets others in"
    if not SSHD.exists() or shutil.which("ssh") is None:
        return "sshd or ssh is not installed (tools/sshd.sh installs them)"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        return "no mount namespace can be made here"
    return ""


class OwnSshd:
    """How to get in: by a key, or by keyboard-interactive, where PAM asks for the password."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    def log_in(self, user: str, command: str, *, with_key: bool = True) -> subprocess.Popen[str]:
        """Run *command* in a session of *user*; stderr has what ssh and PAM say."""
        options = {
            "BatchMode": "yes" if with_key else "no",
            "IdentitiesOnly": "yes",
            "LogLevel": "INFO",
            "PreferredAuthentications": "publickey" if with_key else "keyboard-interactive",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        return subprocess.Popen(
            [
                "ssh",
                "-F",
                "none",
                "-i",
                self._folder / "key",
                "-p",
                str(self._port),
                *words,
                f"{user}@127.0.0.1",
                command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"SSH_ASKPASS": str(self._folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force"},
        )


@contextmanager
def own_sshd(user: str, rules: str) -> Iterator[OwnSshd]:
    """Run it while the block does, for root and *user*.  rules: of PAM, after those of the host's own service."""
    with tempfile.TemporaryDirectory(prefix="own-sshd-") as name:
        folder = Path(name)
        # The keys that let a user in are read as that user.
        folder.chmod(0o755)
        with _serving(folder, user, rules) as port:
            yield OwnSshd(folder, port)


@contextmanager
def _serving(folder: Path, user: str, rules: str) -> Iterator[int]:
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    _write_pam(folder, rules)
    _write_users(folder, user)
    port = _free_port()
    (folder / "conf").write_text(_CONF.format(folder=folder, port=port))
    script = _START.format(folder=folder, sshd=SSHD)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdin=subprocess.DEVNULL, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or "listening" in (folder / "log").read_text(), 20)
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait()


def _write_pam(folder: Path, rules: str) -> None:
    """Copy the host's services; the password is one of the test's own."""
    shutil.copytree(_PAM, folder / "pam.d")
    check = folder / "check"
    check.write_text(f'#!/bin/sh\n[ "$(tr -d \'\\0\')" = "{_SECRET}" ]\n')
    asked = folder / "askpass"
    asked.write_text(f'#!/bin/sh\necho "{_SECRET}"\n')
    for each in (check, asked):
        each.chmod(0o700)
    (folder / "pam.d/common-auth").write_text(_AUTH.format(check=check))
    with (folder / "pam.d/sshd").open("a") as service:
        service.write(rules)


def _write_users(folder: Path, user: str) -> None:
    """Give the user a shell and a folder that anybody may be in."""
    lines: list[str] = []
    for line in Path("/etc/passwd").read_text().splitlines():
        name, *others = line.split(":")
        lines.append(":".join([name, *others[:4], "/tmp", "/bin/sh"]) if name == user else line)
    (folder / "passwd").write_text("\n".join(lines) + "\n")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
