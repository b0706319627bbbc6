"""The tables of the lines of topology.conf (CONTRACT 16.4); the first row is the key that such a line begins with."""

from __future__ import annotations

from sluice.config.key import Key, Table
from sluice.config.kinds import TEXT, Kind, whole_number

#: The largest number of nodes in one block or along one dimension.
_SIZE_MAX = 1 << 20
COUNT = whole_number(1, 2**32 - 1)
SIZE = whole_number(1, _SIZE_MAX)


def _parse_sizes(text: str) -> tuple[int, ...]:
    sizes = tuple([_positive(word) for word in text.split(",") if word.strip()])
    if not sizes:
        raise ValueError(f"{text!r} has no number")
    return sizes


def _parse_dimensions(text: str) -> tuple[int, ...]:
    sizes = tuple([_positive(word) for word in text.lower().split("x")])
    if len(sizes) > 3:
        raise ValueError(f"{text!r} has {len(sizes)} dimensions")
    return (1,) * (3 - len(sizes)) + sizes


def _positive(word: str) -> int:
    value = SIZE.parse(word.strip())
    assert isinstance(value, int)
    return value


SIZES = Kind("block sizes in nodes such as 4,8,16", _parse_sizes)
DIMENSIONS = Kind("up to three sizes such as 4x4x8", _parse_dimensions)

SWITCH = Table(
    "switch",
    Key("SwitchName", TEXT, "", "name"),
    Key("Nodes", TEXT, "", "nodes"),
    Key("Switches", TEXT, "", "children"),
    Key("LinkSpeed", COUNT, "1", "link_speed"),
)
BLOCK = Table("block", Key("BlockName", TEXT, "", "name"), Key("Nodes", TEXT, "", "nodes"))
BLOCK_SIZES = Table("block size", Key("BlockSizes", SIZES, "", "sizes"))
RING = Table("ring", Key("RingName", TEXT, "", "name"), Key("Nodes", TEXT, "", "nodes"))
TORUS = Table(
    "torus",
    Key("TorusName", TEXT, "", "name"),
    Key("Nodes", TEXT, "", "nodes"),
    Key("Size", DIMENSIONS, "", "dimensions"),
)

#: First key of a line, in lower case -> its table.
TOPOLOGY_TABLES: dict[str, Table] = {
    table.keys[0].name.lower(): table for table in (SWITCH, BLOCK, BLOCK_SIZES, RING, TORUS)
}
#: The kind of unit that each of our plugins reads; others get all.
UNIT_BY_PLUGIN = {"tree": "switch", "dragonfly": "switch", "block": "block", "ring": "ring", "torus3d": "torus"}
