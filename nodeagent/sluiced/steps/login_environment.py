"""The environment that a login gives a user: what --export=NONE and --get-user-env ask for."""

from __future__ import annotations

import os
import subprocess

from sluiced.steps.user import User, become

_DEADLINE_S = 10.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What the shell that we ask adds about itself.
_SHELL_OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})


def read_login_environment(user: User) -> dict[str, str]:
    """Return the variables of a login shell of *user*; the plain ones where the shell does not answer."""
    plain = {
        "HOME": user.home,
        "LOGNAME": user.name,
        "USER": user.name,
        "SHELL": user.shell,
        "MAIL": f"/var/mail/{user.name}",
        "PATH": _PATH,
    }
    try:
        done = subprocess.run(
            [user.shell, "-l", "-c", "exec env -0"],
            env=plain,
            cwd=user.home if os.path.isdir(user.home) else "/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_DEADLINE_S,
            preexec_fn=lambda: become(user),
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return plain
    pairs = (entry.partition("=") for entry in os.fsdecode(done.stdout).split("\0"))
    return plain | {name: value for name, _, value in pairs if name and name not in _SHELL_OWN}
