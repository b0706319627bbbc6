"""A program that lets a user in as PAM says, and is what the user then runs: what sshd and login do.

    pam_client FOLDER SERVICE USER COMMAND

FOLDER holds the file SERVICE in the grammar of pam.d.  Exits with 77 and PAM's words where the user is not let in.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys

_SUCCESS = 0
_REFUSED_EXIT = 77
_CONVERSATION = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_void_p
)


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Conversation(ctypes.Structure):
    _fields_ = (("function", _CONVERSATION), ("data", ctypes.c_void_p))


def main(folder: str, service: str, user: str, command: str) -> None:
    libpam = ctypes.CDLL("libpam.so.0")
    libc = ctypes.CDLL(None)
    libc.calloc.restype = ctypes.c_void_p

    @_CONVERSATION
    def converse(count: int, messages: object, answers: int, _data: int) -> int:
        for place in range(count):
            text = ctypes.cast(messages[place], ctypes.POINTER(_Message)).contents.text  # type: ignore[index]
            print(text.decode(), flush=True)
        # PAM frees them.
        replies = libc.calloc(count, 2 * ctypes.sizeof(ctypes.c_void_p))
        ctypes.cast(answers, ctypes.POINTER(ctypes.c_void_p))[0] = replies
        return _SUCCESS

    handle = ctypes.c_void_p()
    conversation = _Conversation(converse, None)
    started = libpam.pam_start_confdir(
        service.encode(), user.encode(), ctypes.byref(conversation), folder.encode(), ctypes.byref(handle)
    )
    assert started == _SUCCESS, f"pam_start_confdir: {started}"
    answer = libpam.pam_acct_mgmt(handle, 0)
    libpam.pam_end(handle, answer)
    if answer != _SUCCESS:
        sys.exit(_REFUSED_EXIT)
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.execv("/bin/sh", ["sh", "-c", command])


if __name__ == "__main__":
    main(*sys.argv[1:])
