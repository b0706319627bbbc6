"""Bytes in, whole frames out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.wire.faults import FRAME_EMPTY, FRAME_TOO_LARGE, FrameError
from sluice.wire.framing import FrameSplitter, pack_length


def frames_of(splitter: FrameSplitter) -> list[bytes]:
    frames = []
    while (frame := splitter.next()) is not None:
        frames.append(bytes(frame))
    return frames


def taken(splitter: FrameSplitter) -> bytes | None:
    frame = splitter.next()
    return None if frame is None else bytes(frame)


@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(1, 500), min_size=1))
def test_frames_do_not_depend_on_how_the_bytes_were_cut(payloads: list[bytes], sizes: list[int]) -> None:
    """split(cut(join(frames))) == frames, for every way to cut."""
    data = b"".join(pack_length(len(payload)) + payload for payload in payloads)
    splitter = FrameSplitter()
    received, offset, turn = [], 0, 0
    while offset < len(data):
        size = sizes[turn % len(sizes)]
        splitter.feed(data[offset : offset + size])
        received += frames_of(splitter)
        offset, turn = offset + size, turn + 1

    assert received == payloads
    assert splitter.buffered == 0
    assert not splitter.is_midframe


def test_a_frame_too_large_is_refused_by_its_length_alone() -> None:
    splitter = FrameSplitter(size_max=100)
    splitter.feed(pack_length(101))

    with pytest.raises(FrameError, match="101 bytes, the limit here is 100") as caught:
        splitter.next()
    assert caught.value.code == FRAME_TOO_LARGE


def test_an_empty_frame_is_refused() -> None:
    splitter = FrameSplitter()
    splitter.feed(pack_length(0))

    with pytest.raises(FrameError, match="empty") as caught:
        splitter.next()
    assert caught.value.code == FRAME_EMPTY


def test_the_limit_may_change_between_two_frames_of_one_chunk() -> None:
    splitter = FrameSplitter(size_max=10)
    splitter.feed(pack_length(3) + b"abc" + pack_length(20) + b"x" * 20)

    assert taken(splitter) == b"abc"
    splitter.size_max = 20
    assert taken(splitter) == b"x" * 20


def test_what_was_not_taken_is_kept_when_more_is_fed() -> None:
    splitter = FrameSplitter()
    splitter.feed(pack_length(1) + b"a" + pack_length(1) + b"b")
    assert taken(splitter) == b"a"
    assert splitter.buffered == 5

    splitter.feed(pack_length(1) + b"c")

    assert frames_of(splitter) == [b"b", b"c"]
