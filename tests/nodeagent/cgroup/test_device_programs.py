"""Device rules as programs: what they answer, against the rules read in plain words."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.cgroup import bpf, devices
from sluiced.cgroup.bpf_program import assemble, encode
from sluiced.cgroup.devices import DEFAULT_RULES, DeviceFence, DeviceRule
from tests.nodeagent.cgroup import ebpf

_KINDS = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

rules = st.builds(
    DeviceRule,
    kind=st.sampled_from("bc"),
    major=st.integers(0, 3) | st.just(4095),
    minor=st.none() | st.integers(0, 3) | st.just((1 << 20) - 1),
    access=st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters))),
)
fences = st.builds(DeviceFence, st.lists(rules, max_size=6).map(tuple), st.booleans())
wishes = st.builds(
    DeviceRule,
    kind=st.sampled_from("bc"),
    major=st.integers(0, 3) | st.just(4095),
    minor=st.integers(0, 3) | st.just((1 << 20) - 1),
    access=st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters))),
)


def _answer(fence: DeviceFence, wish: DeviceRule) -> bool:
    """Ask the program as the kernel does."""
    access = sum(_ACCESS[letter] for letter in wish.access)
    context = struct.pack("<III", access << 16 | _KINDS[wish.kind], wish.major, wish.minor or 0)
    return bool(ebpf.run(ebpf.decode(encode(assemble(fence))), context))


def _reads(fence: DeviceFence, wish: DeviceRule) -> bool:
    """A closed fence lets through what one of its rules covers whole, an open one what none of them touches."""
    named = [
        set(rule.access)
        for rule in fence.rules
        if (rule.kind, rule.major) == (wish.kind, wish.major) and rule.minor in (None, wish.minor)
    ]
    if fence.is_closed:
        return any(set(wish.access) <= access for access in named)
    return not any(set(wish.access) & access for access in named)


@given(fence=fences, wish=wishes)
def test_a_program_answers_as_its_rules_read(fence: DeviceFence, wish: DeviceRule) -> None:
    """run(encode(assemble(fence)), wish) == the rules, read in words"""
    assert _answer(fence, wish) == _reads(fence, wish)


@pytest.mark.parametrize(
    "path", ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"]
)
def test_what_every_program_needs_is_open_in_a_closed_fence(path: str) -> None:
    (rule,) = devices.rules_of([path])

    assert _answer(devices.closed_fence([]), rule._replace(access="rw"))


def test_rules_are_of_the_numbers_behind_paths() -> None:
    assert devices.rules_of(["/dev/null", "/etc/passwd", "/dev/no-such-device"]) == (DeviceRule("c", 1, 3),)


def test_a_rule_is_written_as_v1_takes_it() -> None:
    assert [str(rule) for rule in DEFAULT_RULES[-1:]] == ["c 143:* rwm"]
    assert str(DeviceRule("b", 8, 0, "r")) == "b 8:0 r"


@pytest.mark.skipif(bool(bpf.why_not()), reason=f"the kernel loads no device programs here: {bpf.why_not()}")
@given(fence=fences)
def test_the_kernels_verifier_takes_every_program(fence: DeviceFence) -> None:
    """load(encode(assemble(fence))) never raises"""
    os.close(bpf.load(encode(assemble(fence))))


@pytest.mark.skipif(bool(bpf.why_not()), reason=f"the kernel loads no device programs here: {bpf.why_not()}")
def test_a_program_that_the_verifier_refuses_is_told_with_its_words() -> None:
    with pytest.raises(OSError, match=r"Invalid argument|Permission denied"):
        bpf.load(b"\0" * 8)
