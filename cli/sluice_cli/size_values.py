"""Values of job options that say how large: nodes, memory, sockets, generic resources."""

from __future__ import annotations

from sluice import gres_spec, hostlist, size
from sluice.errors import InvalidRequest
from sluice_cli import host_file
from sluice_cli.draft import REFUSED_EXIT, OptionError, invalid
from sluice_cli.option_values import positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.draft import Draft
    from sluice_cli.option_row import JobOption

INVALID_GRES = "Invalid generic resource (gres) specification"
_MEMORY_FIELDS = ("memory_per_node_mib", "memory_per_cpu_mib", "memory_per_gpu_mib")


def nodes(draft: Draft, option: JobOption, value: str | None) -> None:
    """`2`, `2-4`, and sets such as `2,4,8-16:4`, whose bounds count and whose text is kept."""
    asked = value or ""
    try:
        sizes = size.parse_node_sizes(asked)
    except InvalidRequest as error:
        raise _bad_node_count(asked, error) from None
    low, high = size.node_bounds(sizes)
    draft.spec["min_nodes"], draft.spec["max_nodes"] = low, high
    if len(sizes) > 1 or sizes[0][2] > 1:
        draft.other["nodes"] = asked


def _bad_node_count(asked: str, error: InvalidRequest) -> OptionError:
    if error.code == "node_count":
        return OptionError(error.message)
    for bound in asked.split("-"):
        if not bound.isdigit():
            return OptionError(f'"{bound}" is not a valid node count')
    return OptionError(f'"{asked}" is not a valid node count')


def memory(draft: Draft, option: JobOption, value: str | None) -> None:
    """One of the three memory options; what a weaker source said of the others is forgotten."""
    for field in _MEMORY_FIELDS:
        draft.spec.pop(field, None)
    draft.spec[option.field] = _mib(option, value)


def disk(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec["tmp_disk_mib"] = _mib(option, value)


def _mib(option: JobOption, value: str | None) -> int:
    try:
        return size.parse_mib(value or "")
    except InvalidRequest:
        raise invalid(option, value) from None


def node_names(draft: Draft, option: JobOption, value: str | None) -> None:
    """A hostlist, or with a slash a file of names.  Raises InvalidRequest as the controller refuses a name."""
    names = value or ""
    if "/" in names:
        draft.spec[option.field] = host_file.read_names(names)
        return
    try:
        draft.spec[option.field] = hostlist.expand(names)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, code="invalid_node") from None


def required_names(draft: Draft, option: JobOption, value: str | None) -> None:
    """As node_names, but one name there must be: an empty variable in a script would leave the choice open."""
    node_names(draft, option, value)
    draft.own["host-file"] = value if "/" in (value or "") else ""
    if not draft.spec[option.field]:
        raise InvalidRequest(f"{value!r} (--{option.key}) names no node; leave it out for any", code="node_count")


def node_file(draft: Draft, option: JobOption, value: str | None) -> None:
    try:
        draft.spec["required_nodes"] = host_file.read_names(value or "")
    except OptionError as error:
        raise OptionError(*error.lines, "Invalid --nodefile node file") from None
    draft.own["host-file"] = ""


def geometry(draft: Draft, option: JobOption, value: str | None) -> None:
    """-B sockets[:cores[:threads]], each a number or `*`."""
    fields = ("sockets_per_node", "cores_per_socket", "threads_per_core")
    for field, part, place in zip(fields, (value or "").split(":"), ("first", "second", "third"), strict=False):
        if part in ("*", ""):
            continue
        number = part.partition("-")[0]
        if not (number.isascii() and number.isdigit() and int(number[:9])):
            raise OptionError(f'Invalid numeric value "{part}" for {place} arg of -B.', exit_code=REFUSED_EXIT)
        draft.spec[field] = int(number[:9])


def gres(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.own["gres"] = value or ""
    if value != "help":
        draft.own["gres-entries"] = _entries(gres_spec.parse, value)


def gpus(draft: Draft, option: JobOption, value: str | None) -> None:
    """--gpus and its relatives; field names the GRES field of the spec."""
    draft.own[option.key] = _entries(gres_spec.parse_gpus, value) if value else ()


def _entries(parse: object, value: str | None) -> gres_spec.GresSpec:
    assert callable(parse)
    try:
        entries: gres_spec.GresSpec = parse(value or "")
    except InvalidRequest as error:
        raise OptionError(error.message, INVALID_GRES, exit_code=REFUSED_EXIT) from None
    return entries


def tres_per_task(draft: Draft, option: JobOption, value: str | None) -> None:
    """`cpu=2,gres/gpu:a100=1`: CPUs are -c, the rest is per task."""
    entries: list[gres_spec.Gres] = []
    for part in (value or "").split(","):
        name, equals, number = part.rpartition("=") if "=" in part else part.rpartition(":")
        if name == "cpu":
            draft.spec["cpus_per_task"] = positive(option, number)
        elif name.startswith(("gres/", "gres:")) and equals:
            entries += _entries(gres_spec.parse, part)
        else:
            raise invalid(option, value)
    draft.own["tres-per-task"] = tuple(entries)
    draft.other[option.key] = value or ""
