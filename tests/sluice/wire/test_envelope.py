"""Envelopes to frames and back."""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequest
from sluice.wire.envelope import append_frame, decode_body, decode_envelope, encode_body
from sluice.wire.faults import PROTOCOL_MISMATCH, FrameError
from sluice.wire.framing import LENGTH_SIZE, PART, REQUEST

bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)


class Launch(msgspec.Struct):
    job_id: int
    hosts: list[str] = []


def framed(kind: int, id: int, name: str, body: object) -> bytes:
    out = bytearray()
    append_frame(out, kind, id, name, body)
    return bytes(out[LENGTH_SIZE:])


@given(st.integers(REQUEST, PART), st.integers(0, 2**63 - 1), st.text(), bodies)
def test_an_envelope_comes_back_as_it_went(kind: int, id: int, name: str, body: Any) -> None:
    """decode(encode(e)) == e, and msgpack's own decoder agrees."""
    payload = framed(kind, id, name, body)

    envelope = decode_envelope(payload)

    assert (envelope.version, envelope.kind, envelope.id, envelope.name) == (1, kind, id, name)
    assert msgspec.msgpack.decode(envelope.body) == body
    assert msgpack.unpackb(payload) == [1, kind, id, name, body]


@given(st.binary())
def test_any_bytes_are_an_envelope_or_a_frame_error(data: bytes) -> None:
    """decode never fails in another way."""
    try:
        decode_envelope(data)
    except FrameError:
        return


@pytest.mark.parametrize(
    "body",
    [b"\x91" * 60_000, b"\xdd\xff\xff\xff\xff\x01", b"\xdf\xff\xff\xff\xff\x01", b"\xc6\xff\xff\xff\xff"],
    ids=["nested sixty thousand deep", "an array of four billion", "a map of four billion", "four billion bytes"],
)
def test_a_body_that_promises_more_than_it_holds_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError, match="not a frame"):
        decode_envelope(b"\x95\x01\x00\x01\xa1x" + body)


def test_another_version_is_named_even_when_its_layout_is_unknown() -> None:
    for frame in ([2, 0, 1, "x", None], [9, {"new": "layout"}]):
        with pytest.raises(FrameError, match=f"version {frame[0]}, this side speaks 1 to 1") as caught:
            decode_envelope(msgspec.msgpack.encode(frame))
        assert caught.value.code == PROTOCOL_MISMATCH


@pytest.mark.parametrize("frame", [[1, 5, 1, "x", None], [1, -1, 1, "x", None], [1, 0, -1, "x", None]])
def test_unknown_kinds_and_negative_ids_are_refused(frame: list[Any]) -> None:
    with pytest.raises(FrameError, match="not a frame"):
        decode_envelope(msgspec.msgpack.encode(frame))


def test_fields_of_a_newer_release_are_ignored() -> None:
    envelope = decode_envelope(msgspec.msgpack.encode([1, 0, 1, "x", {"job_id": 7, "colour": "red"}, "more"]))

    assert decode_body(envelope.body, Launch) == Launch(job_id=7)


def test_a_wrong_body_is_refused_with_the_field_that_is_wrong() -> None:
    with pytest.raises(InvalidRequest, match=r"malformed Launch: Expected `str`, got `int` - at `\$.hosts\[1\]`"):
        decode_body(encode_body({"job_id": 7, "hosts": ["n1", 2]}), Launch)


def test_a_body_encoded_once_goes_in_as_it_is() -> None:
    body = encode_body({"job_id": 7})

    assert framed(REQUEST, 1, "x", body) == framed(REQUEST, 1, "x", {"job_id": 7})
    assert framed(REQUEST, 1, "x", msgspec.Raw(b"")) == framed(REQUEST, 1, "x", None)


@pytest.mark.parametrize(("body", "error"), [(b"x" * 2000, FrameError), (["x" * 900, object()], TypeError)])
def test_a_frame_that_cannot_be_sent_leaves_those_before_it_alone(body: object, error: type[Exception]) -> None:
    out = bytearray()
    append_frame(out, REQUEST, 1, "x", None)
    before = bytes(out)

    with pytest.raises(error):
        append_frame(out, REQUEST, 2, "x", body, size_max=1000)
    assert out == before
