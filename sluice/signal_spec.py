"""Signal specifications: which signal a job gets and how long before its limit, B:USR1@90.

    spec   = [ flags [ ":" ] ] signal [ "@" seconds ]
    flags  = "B" | "R" | "BR" | "RB"               without ":" only before a name
    signal = [ "SIG" ] name | number               any case

B: only the batch shell is signalled; R: the job may have a reservation's nodes until they are wanted, and is signalled
then.  Without "@" it is 60 seconds before.
Numbers are Linux's; importing the signal module would cost every command its enumerations.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

#: Seconds before the limit when the specification names none.
DEFAULT_BEFORE_S = 60
#: Seconds that a specification may name.
BEFORE_MAX_S = 65535
NUMBER_MAX = 64
NAMES = (
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "CHLD",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "WINCH",
    "IO",
    "PWR",
    "SYS",
)
_NUMBER_BY_NAME = {name: number for number, name in enumerate(NAMES, start=1)} | {"IOT": 6, "CLD": 17, "POLL": 29}
_FLAGS = ("B", "R", "BR", "RB")


class SignalSpec:
    """A signal to send some time before the end."""

    __slots__ = ("before_s", "is_batch_only", "is_for_reservation", "number")

    def __init__(
        self,
        number: int,
        before_s: int = DEFAULT_BEFORE_S,
        is_batch_only: bool = False,
        is_for_reservation: bool = False,
    ) -> None:
        self.number = number
        self.before_s = before_s
        self.is_batch_only = is_batch_only
        self.is_for_reservation = is_for_reservation

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SignalSpec) and format_spec(self) == format_spec(other)

    def __hash__(self) -> int:
        return hash(format_spec(self))

    def __repr__(self) -> str:
        return f"SignalSpec({format_spec(self)!r})"


def parse(text: str) -> SignalSpec:
    """Return the signal that *text* asks for.

    Raises InvalidRequest for an unknown signal, an unknown flag or too many seconds.
    """
    head, at, seconds = text.strip().partition("@")
    flags, colon, signal = head.upper().partition(":")
    if not colon:
        flags, signal = _split_flags(head.upper())
    elif flags not in _FLAGS:
        raise _refusal(text, f"flag {flags[:20]!r} is neither B nor R")
    number = _find(signal)
    if not number:
        raise _refusal(text, f"{signal[:20]!r} is no signal")
    return SignalSpec(number, _parse_seconds(seconds, text) if at else DEFAULT_BEFORE_S, "B" in flags, "R" in flags)


def format_spec(spec: SignalSpec) -> str:
    """Return the notation of *spec*, the seconds always named: B:USR1@90."""
    flags = ("R" if spec.is_for_reservation else "") + ("B" if spec.is_batch_only else "")
    return f"{flags}{':' if flags else ''}{name(spec.number)}@{spec.before_s}"


def parse_number(text: str) -> int:
    """Return the number of the signal *text*: TERM, SIGTERM, 15.

    Raises InvalidRequest if there is no such signal.
    """
    number = _find(text.strip().upper())
    if not number:
        raise _refusal(text, "unknown name or number")
    return number


def name(number: int) -> str:
    """Return the name of signal *number* without SIG; the number itself for those without a name."""
    return NAMES[number - 1] if 1 <= number <= len(NAMES) else str(number)


def _split_flags(head: str) -> tuple[str, str]:
    """Return the flags and the signal of BUSR1, written without a colon; BUS is a signal of its own."""
    if not _find(head):
        for length in (2, 1):
            if head[:length] in _FLAGS and head[length : length + 1].isalpha():
                return head[:length], head[length:]
    return "", head


def _find(signal: str) -> int:
    """Return the number of the upper-case *signal*, 0 if there is none."""
    if signal.isascii() and signal.isdigit() and len(signal) <= 3:
        return int(signal) if int(signal) <= NUMBER_MAX else 0
    return _NUMBER_BY_NAME.get(signal.removeprefix("SIG"), 0)


def _parse_seconds(seconds: str, text: str) -> int:
    if not seconds:
        return 0
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 5 and int(seconds) <= BEFORE_MAX_S):
        raise _refusal(text, f"{seconds[:20]!r} seconds before the limit, at most {BEFORE_MAX_S} allowed")
    return int(seconds)


def _refusal(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} is not a signal: {problem}", code="invalid_signal")
