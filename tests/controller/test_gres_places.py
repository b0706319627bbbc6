"""Where units stand, from the lines of gres.conf."""

import pytest

from sluice.config.records import GresLine
from sluice.model.node import GresPlace, Node
from sluice.model.request import GresRequest
from sluicectld.gres_places import compute_places
from sluicectld.scheduler.layout import compute_idle, find_whole_units, layout_of

FOUR_GPUS = (("gpu", "", 4),)


@pytest.mark.parametrize(
    ("gres", "lines", "places"),
    [
        pytest.param(FOUR_GPUS, (), (), id="no lines"),
        pytest.param(FOUR_GPUS, (GresLine(name="gpu", count=4),), (), id="nothing is known"),
        pytest.param(
            FOUR_GPUS,
            (
                GresLine(name="gpu", files=("/dev/nvidia[0-1]",), cores="0-3"),
                GresLine(name="gpu", files=("/dev/nvidia2", "/dev/nvidia3"), cores="4-7"),
            ),
            (GresPlace(name="gpu", count=2, cores="0-3"), GresPlace(name="gpu", count=2, cores="4-7")),
            id="one unit for each file",
        ),
        pytest.param(
            (("gpu", "a", 1), ("gpu", "b", 1)),
            (GresLine(name="gpu", type="b", cores="4-7"), GresLine(name="gpu", type="a", cores="0-3")),
            (
                GresPlace(name="gpu", type="a", count=1, cores="0-3"),
                GresPlace(name="gpu", type="b", count=1, cores="4-7"),
            ),
            id="types have their own lines",
        ),
        pytest.param(
            (("bandwidth", "", 1 << 32),),
            (GresLine(name="bandwidth", count=1 << 32, flags=("CountOnly",)),),
            (GresPlace(name="bandwidth", count=1 << 32, is_counted=True),),
            id="only counted",
        ),
        pytest.param(
            (("tape", "", 4),),
            (GresLine(name="tape", count=4),),
            (GresPlace(name="tape", count=4, is_counted=True),),
            id="no files, no numbers",
        ),
        pytest.param(
            (("gpu", "", 2), ("shard", "", 6)),
            (GresLine(name="shard", count=2), GresLine(name="shard", count=4)),
            (GresPlace(name="shard", count=2), GresPlace(name="shard", count=4)),
            id="different parts of each GPU",
        ),
    ],
)
def test_places_follow_the_lines(gres, lines, places):
    assert compute_places(gres, lines) == places


def node(**fields) -> Node:
    return Node(name="n1", **({"cpus": 16, "sockets": 2, "cores_per_socket": 4, "threads_per_core": 2} | fields))


def test_cores_are_numbers_of_cores_not_of_threads():
    layout = layout_of(
        node(gres=(GresRequest(name="gpu", count=1),), gres_places=(GresPlace(name="gpu", count=1, cores="1-2"),))
    )

    assert layout.rows[0].near == ((0b1, 0b111100),)


def test_parts_are_on_the_gpus_in_turn():
    gres = (GresRequest(name="gpu", count=2), GresRequest(name="shard", count=5))

    assert layout_of(node(gres=gres)).parts == ((1, 0b00111, 0b01), (1, 0b11000, 0b10))


def test_places_that_do_not_add_up_tell_nothing():
    gres, places = (GresRequest(name="gpu", count=3),), (GresPlace(name="gpu", count=2, cores="0-3"),)

    assert layout_of(node(gres=gres, gres_places=places)).rows[0].near == ()


@pytest.mark.parametrize(
    ("fields", "withheld"),
    [
        pytest.param({}, 0, id="nothing"),
        pytest.param({"core_spec_count": 1}, 0b11 << 14, id="the last core of the last socket"),
        pytest.param({"core_spec_count": 3}, 0b1111 << 12 | 0b11 << 6, id="the sockets in turn"),
        pytest.param({"cpu_spec_list": "0-1"}, 0b11, id="a list"),
    ],
)
def test_what_is_withheld(fields, withheld):
    assert compute_idle(node(**fields)).free_cpus == 0xFFFF & ~withheld


def test_units_are_whole_when_each_cpu_is_free():
    assert find_whole_units(0b1101_1111_0111, 4) == 0b1111_0000
    assert find_whole_units(0b111_011_111, 3) == 0b111_000_111
    assert find_whole_units(0b101, 1) == 0b101
