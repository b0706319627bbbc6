"""The file that holds the cluster key: 32 random bytes in hex, readable by its owner alone."""

from __future__ import annotations

import os
import stat

from sluice.errors import ConfigError

KEY_SIZE = 32


def create_key_file(path: str) -> bytes:
    """Write a new random key to *path* and return it.  Raises ConfigError where something is there."""
    key = os.urandom(KEY_SIZE)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"cluster key cannot be created: {error.strerror}", path) from None
    try:
        os.fchmod(file, 0o600)
        os.write(file, key.hex().encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)
    return key


def read_key_file(path: str) -> bytes:
    """Return the key in *path*.  Raises ConfigError: absent, readable by others, not a key."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(f"cluster key cannot be read: {error.strerror}", path) from None
    try:
        _check_owner(os.fstat(file), path)
        text = os.read(file, 4096)
    finally:
        os.close(file)
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        raise ConfigError("cluster key is not hexadecimal", path) from None
    if len(key) < KEY_SIZE:
        raise ConfigError(f"cluster key has {len(key)} bytes, {KEY_SIZE} are needed", path)
    return key


def _check_owner(facts: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise ConfigError("cluster key is not a regular file", path)
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o077:
        raise ConfigError(f"cluster key has mode {mode:04o}, others can reach it; use chmod 0600", path)
    if facts.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"cluster key belongs to uid {facts.st_uid}, expected {os.geteuid()} or root", path)
