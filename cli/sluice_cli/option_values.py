"""Values of job options that are words, numbers, flags and small closed sets, and where they land in a draft.

Each setter takes (draft, row, value) and raises OptionError with the recorded text and exit status.
Sizes are size_values.py's, time time_values.py's.
"""

from __future__ import annotations

import os

from sluice_cli.draft import REFUSED_EXIT, OptionError, invalid, invalid_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.draft import Draft
    from sluice_cli.option_row import JobOption

_NUMBER_MAX = 2**31 - 1
#: What the priority TOP becomes: the highest that is not one of the reserved values.
_PRIORITY_TOP = 2**32 - 4
_NICE_MAX = 2147483645
_HINTS = ("compute_bound", "memory_bound", "multithread", "nomultithread")
_LIMIT_NAMES = ["AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "RSS", "STACK"]
_CPU_GOVERNORS = frozenset(
    (
        "low",
        "medium",
        "high",
        "highm1",
        "conservative",
        "ondemand",
        "performance",
        "powersave",
        "schedutil",
        "userspace",
    )
)


def text(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec[option.field] = value or ""


def words(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec[option.field] = [word for word in (value or "").split(",") if word]


def flag(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec[option.field] = True


def off(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec[option.field] = False


def own(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.own[option.field] = value if value is not None else ""


def own_flag(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.own[option.field] = True


def other(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.other[option.key] = value or ""


def ignore(draft: Draft, option: JobOption, value: str | None) -> None:
    """Accept an option that changes nothing here."""


def count(draft: Draft, option: JobOption, value: str | None) -> None:
    """Set a number of at least one."""
    draft.spec[option.field] = positive(option, value)


def own_number(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.own[option.field] = natural(option, value)


def other_count(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.other[option.key] = str(positive(option, value))


def natural_count(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec[option.field] = natural(option, value)


def ports(draft: Draft, option: JobOption, value: str | None) -> None:
    """Set how many ports a step wants; without a number as many as a node has tasks."""
    draft.own[option.field] = natural(option, value) if value else -1


def positive(option: JobOption, value: str | None) -> int:
    number = natural(option, value)
    if not number:
        raise invalid_number(option, value or "")
    return number


def natural(option: JobOption, value: str | None) -> int:
    digits = value or ""
    if not (digits.isascii() and digits.isdigit()):
        raise invalid_number(option, digits)
    if len(digits) > 20 or int(digits) > _NUMBER_MAX:
        raise invalid_number(option, digits, f"{digits[:20]} is too large, at most {_NUMBER_MAX} is taken")
    return int(digits)


def job_name(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec["name"] = value or ""


def features(draft: Draft, option: JobOption, value: str | None) -> None:
    """Raises InvalidRequest: one that cannot be read is refused as the controller refuses an unknown feature."""
    text = (value or "").strip()
    if text:
        from sluice import feature_expr

        feature_expr.parse(text)
    draft.spec["features"] = text


def exclusive(draft: Draft, option: JobOption, value: str | None) -> None:
    kinds = {"": "node", "user": "user", "mcs": "mcs", "topo": "topo"}
    kind = kinds.get((value or "").lower())
    if kind is None:
        raise invalid(option, value)
    draft.spec["exclusive"] = kind


def no_kill(draft: Draft, option: JobOption, value: str | None) -> None:
    if (value or "") not in ("", "off", "no"):
        raise invalid(option, value)
    draft.spec["no_kill"] = not value


def yes_or_no(draft: Draft, option: JobOption, value: str | None) -> None:
    answer = {"yes": True, "no": False}.get((value or "").lower())
    if answer is None:
        raise invalid(option, value)
    draft.spec[option.field] = answer


def zero_or_one(draft: Draft, option: JobOption, value: str | None) -> None:
    number = 1 if value is None else natural(option, value)
    if number > 1:
        raise invalid(option, value)
    draft.spec[option.field] = bool(number)


def open_mode(draft: Draft, option: JobOption, value: str | None) -> None:
    if value not in ("a", "append", "t", "truncate"):
        raise invalid(option, value)
    draft.spec["open_mode"] = value[0]


def nice(draft: Draft, option: JobOption, value: str | None) -> None:
    number = 100 if value is None else whole_number(option, value)
    if abs(number) > _NICE_MAX:
        raise OptionError(f"Invalid --nice value, out of range (+/- {_NICE_MAX})")
    draft.spec["nice"] = number


def priority(draft: Draft, option: JobOption, value: str | None) -> None:
    if (value or "").upper() == "TOP":
        draft.spec["priority"] = _PRIORITY_TOP
        return
    number = whole_number(option, value)
    if number < 0:
        raise OptionError("Priority must be >= 0")
    if number > _PRIORITY_TOP:
        raise OptionError(f"Priority must be < {_PRIORITY_TOP}")
    draft.spec["priority"] = number


def whole_number(option: JobOption, value: str | None) -> int:
    """Return a number that may have a sign.  Raises OptionError."""
    digits = (value or "").strip()
    unsigned = digits[1:] if digits[:1] in ("-", "+") else digits
    if not (unsigned.isascii() and unsigned.isdigit()):
        raise invalid(option, value)
    return int(digits[:21])


def mail_type(draft: Draft, option: JobOption, value: str | None) -> None:
    """What is no event is passed over with a warning, unless nothing else is named."""
    from sluice_cli.expected import MAIL_TYPES

    asked = [word.strip().upper() for word in (value or "").split(",")]
    known = [word for word in asked if word in MAIL_TYPES]
    if not known and "NONE" not in asked:
        raise invalid(option, value)
    for word in asked:
        if word and word not in (*MAIL_TYPES, "NONE"):
            draft.warn(f"--mail-type: {word!r} is none of {', '.join(MAIL_TYPES)}")
    draft.spec["mail_types"] = known


def hint(draft: Draft, option: JobOption, value: str | None) -> None:
    if value not in _HINTS:
        raise OptionError(f'unrecognized --hint argument "{value}", see --hint=help', exit_code=REFUSED_EXIT)
    draft.spec["hint"] = value


def distribution(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import distribution as language
    from sluice.errors import InvalidRequest

    try:
        language.parse(value or "*")
    except InvalidRequest as error:
        if not error.message.startswith("Invalid plane"):
            raise invalid(option, value) from None
        raise OptionError(error.message, *invalid(option, value).lines) from None
    draft.spec["distribution"] = value or ""


def propagate(draft: Draft, option: JobOption, value: str | None) -> None:
    names = [word.strip().upper() for word in (value or "ALL").split(",")]
    for name in names:
        if name.removeprefix("RLIMIT_") not in _LIMIT_NAMES and name not in ("ALL", "NONE"):
            raise OptionError(f"Bad rlimit name: {name}", f"--propagate={value} is not valid.", exit_code=REFUSED_EXIT)
    draft.own["propagate"] = [name.removeprefix("RLIMIT_") for name in names]


def account_id(draft: Draft, option: JobOption, value: str | None) -> None:
    """--uid and --gid: a name or number of this host, for root alone."""
    import grp
    import pwd

    name = value or ""
    try:
        if option.key == "uid":
            entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
            found = {"uid": entry.pw_uid, "user": entry.pw_name, "gid": draft.spec.get("gid", entry.pw_gid)}
        else:
            found = {"gid": grp.getgrgid(int(name)).gr_gid if name.isdigit() else grp.getgrnam(name).gr_gid}
    except (KeyError, OverflowError):
        raise invalid(option, value) from None
    if os.getuid() != 0:
        raise OptionError(f"--{option.key} only permitted by root user")
    draft.spec.update(found)


def switches(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import duration
    from sluice.errors import InvalidRequest

    count, at, wait = (value or "").partition("@")
    positive(option, count)
    if at:
        try:
            duration.parse(wait)
        except InvalidRequest:
            raise invalid(option, value) from None
    draft.spec["switches"] = value or ""


def gpu_bind(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import gpu_bind as language
    from sluice.errors import InvalidRequest

    try:
        language.parse(value or "")
    except InvalidRequest as error:
        raise OptionError(error.message) from None
    draft.spec["gpu_bind"] = value or ""


def gres_flags(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice_cli.expected import GRES_FLAGS

    if not set(GRES_FLAGS).issuperset((value or "").lower().split(",")):
        raise invalid(option, value)
    draft.other[option.key] = value or ""


def memory_bind(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import mem_bind
    from sluice.errors import InvalidRequest

    try:
        mem_bind.parse(value or "")
    except InvalidRequest as error:
        raise OptionError(error.message) from None
    draft.other[option.key] = draft.own[option.key] = value or ""


def cpu_bind(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import cpu_bind as language
    from sluice.errors import InvalidRequest

    try:
        language.parse(value or "")
    except InvalidRequest as error:
        raise OptionError(error.message, exit_code=REFUSED_EXIT) from None
    draft.own[option.key] = value or ""


def cpu_frequency(draft: Draft, option: JobOption, value: str | None) -> None:
    for part in (value or "").lower().replace("-", ":").split(":"):
        if not part.isdigit() and part not in _CPU_GOVERNORS:
            raise OptionError(f'unrecognized --cpu-freq argument "{value}"', "Invalid --cpu-freq argument")
    draft.other[option.key] = value or ""


def gpu_frequency(draft: Draft, option: JobOption, value: str | None) -> None:
    for part in (value or "").lower().split(","):
        level = part.partition("=")[2] if part.startswith("memory=") else part
        if not level.isdigit() and level not in ("low", "medium", "high", "highm1", "verbose"):
            raise OptionError(f"Invalid --gpu-freq argument: gpu:{value}")
    draft.other[option.key] = value or ""


def accounting_frequency(draft: Draft, option: JobOption, value: str | None) -> None:
    for part in (value or "").split(","):
        kind, equals, seconds = part.rpartition("=")
        is_known = not equals or kind in ("task", "energy", "network", "filesystem")
        if not (is_known and seconds.isdigit()):
            raise OptionError(f"Invalid --acctg-freq specification: {value}")
    draft.other[option.key] = value or ""


def profile(draft: Draft, option: JobOption, value: str | None) -> None:
    kinds = frozenset(("all", "none", "energy", "task", "lustre", "filesystem", "network"))
    if not kinds.issuperset((value or "").lower().split(",")):
        raise OptionError(f"invalid --profile={value} option")
    draft.other[option.key] = value or ""


def get_user_env(draft: Draft, option: JobOption, value: str | None) -> None:
    mode = (value or "").lstrip("0123456789")
    if mode.upper() not in ("", "S", "L"):
        raise invalid(option, value)
    draft.own["get-user-env"] = value or ""


def content_of(option: JobOption, path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        raise invalid(option, path, exit_code=REFUSED_EXIT) from None


def burst_buffer_file(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.other["bb"] = content_of(option, value or "")


def kill_on_bad_exit(draft: Draft, option: JobOption, value: str | None) -> None:
    number = 1 if value is None else natural(option, value)
    if number > 1:
        text = f'Invalid numeric value "{number}" for --{option.key}: 1 ends the step when a task fails, 0 does not'
        raise OptionError(text, exit_code=REFUSED_EXIT)
    draft.own["kill-on-bad-exit"] = bool(number)
    draft.spec["kill_on_bad_exit"] = bool(number)
