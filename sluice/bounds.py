"""Numbers that users and administrators choose: bounded where they come in.

One that the wire or a table cannot carry would make every answer that shows it fail, for everybody.  The bounds are
far above any machine, and low enough that products of two stay within 64 bits.
"""

from sluice.errors import InvalidRequest

#: Of nodes, tasks, CPUs, priorities, weights: Slurm's largest 32-bit number below its special ones.
COUNT_MAX = 2**32 - 3
#: Of MiB and seconds: 1 ZiB, ten million years.
SIZE_MAX = 2**50


def check_range(names: tuple[str, ...], values: tuple[int | None, ...], most: int) -> None:
    """Raise InvalidRequest for a value, of these names, that is neither None nor from 0 to *most*."""
    for name, value in zip(names, values, strict=True):
        if value is not None and not 0 <= value <= most:
            raise InvalidRequest(f"{name.replace('_', ' ')} {value} requested, possible is 0 to {most}")
