"""What each job option takes, in words: the end of the message that refuses a value.

    Invalid --mem specification: 'abc', expected a whole number, with K, M, G or T for another unit than MiB

Loaded by refusals alone, for every import is part of a command's start.
"""

from __future__ import annotations

from sluice import signal_spec

_DURATION = (
    "minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, days-hours:minutes:seconds "
    "or UNLIMITED"
)
_POINT = (
    "HH:MM[:SS], MMDD[YY], MM/DD[/YY], YYYY-MM-DD[THH:MM[:SS]], now+COUNT[seconds|minutes|hours|days|weeks] or noon"
)
_SIZE = "a whole number, with K, M, G or T for another unit than MiB"
_SIGNALS = f"a name such as USR1 or TERM, or a number from 1 to {signal_spec.NUMBER_MAX}"
MAIL_TYPES = (
    *("BEGIN", "END", "FAIL", "REQUEUE", "ALL", "INVALID_DEPEND", "STAGE_OUT", "ARRAY_TASKS", "TIME_LIMIT"),
    *("TIME_LIMIT_90", "TIME_LIMIT_80", "TIME_LIMIT_50"),
)
GRES_FLAGS = (
    *("disable-binding", "enforce-binding", "multiple-tasks-per-sharing", "one-task-per-sharing"),
    "allow-task-sharing",
)

#: By the key of the option.
EXPECTED = {
    "bbf": "a file that can be read",
    "begin": _POINT,
    "deadline": _POINT,
    "delay-boot": _DURATION,
    "distribution": (
        "block, cyclic, plane=SIZE or arbitrary over nodes, then :block, :cyclic or :fcyclic over sockets and again "
        "over cores, then ,Pack or ,NoPack"
    ),
    "exclusive": "user, mcs or topo after the =, or the option alone for whole nodes",
    "get-user-env": "seconds, S or L after the =, or the option alone",
    "gid": "the name or number of a group of this host",
    "gres-flags": f"one or more of {', '.join(GRES_FLAGS)}",
    "immediate": "whole seconds after the =, or the option alone for at once",
    "kill-command": f"{_SIGNALS} after the =, or the option alone for TERM",
    "kill-on-invalid-dep": "yes or no",
    "mail-type": f"NONE, or one or more of {', '.join(MAIL_TYPES)}",
    "mem": _SIZE,
    "mem-per-cpu": _SIZE,
    "mem-per-gpu": _SIZE,
    "nice": "a whole number after the =, or the option alone for 100",
    "no-kill": "off after the =, or the option alone",
    "open-mode": "append or truncate",
    "priority": "a whole number or TOP",
    "signal": f"[B:|R:]SIGNAL[@SECONDS], SIGNAL {_SIGNALS}, SECONDS at most {signal_spec.BEFORE_MAX_S}",
    "switches": f"COUNT or COUNT@TIME, TIME as {_DURATION}",
    "time": _DURATION,
    "time-min": _DURATION,
    "tmp": _SIZE,
    "tres-per-task": "cpu=COUNT or gres/NAME[:TYPE]=COUNT, several with commas between",
    "uid": "the name or number of a user of this host",
    "wait-all-nodes": "0 or 1",
}
