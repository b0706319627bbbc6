"""What `sluice config check FILE` says: every error and warning with its place, then one line of summary."""

from __future__ import annotations

import msgspec

from sluice import hostlist
from sluice.config.load import Inspection

#: Warnings of one kind that are listed one by one; further ones are counted.
_WARNINGS_MAX = 100


class Finding(msgspec.Struct, frozen=True):
    """One error or warning as data, for --json."""

    severity: str
    file: str
    line: int
    key: str
    message: str


def list_findings(inspection: Inspection) -> tuple[Finding, ...]:
    """Return errors, then warnings, each in the order they were found."""
    return tuple(
        Finding(severity, each.file, each.line, each.key, each.message)
        for severity, group in (("error", inspection.errors), ("warning", inspection.warnings))
        for each in group
    )


def render_report(inspection: Inspection) -> str:
    """Return the report as text: `error FILE:LINE: KEY: what was expected`, then the summary."""
    lines = [f"error   {error}" for error in inspection.errors]
    lines += [f"warning {warning}" for warning in inspection.warnings[:_WARNINGS_MAX]]
    if len(inspection.warnings) > _WARNINGS_MAX:
        lines.append(f"warning {len(inspection.warnings) - _WARNINGS_MAX} more")
    return "\n".join([*lines, _summary(inspection)])


def _summary(inspection: Inspection) -> str:
    errors, warnings = len(inspection.errors), len(inspection.warnings)
    if errors:
        return f"{inspection.path}: refused, {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    config = inspection.config
    assert config is not None, "an inspection without errors has a configuration"
    folded = hostlist.fold(node.name for node in config.nodes)
    nodes = f"{_count(len(config.nodes), 'node')} ({folded[:60]}{'...' if len(folded) > 60 else ''})"
    partitions = _count(len(config.partitions), "partition")
    return f"{inspection.path}: ok, cluster {config.settings.cluster_name}, {nodes}, {partitions}, " + _count(
        warnings, "warning"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
