"""Signal specifications: names, numbers, flags and seconds."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import signal_spec
from sluice.errors import InvalidRequest
from sluice.signal_spec import SignalSpec

specs = st.builds(SignalSpec, st.integers(1, 64), st.integers(0, 65535), st.booleans(), st.booleans())


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        pytest.param("USR1", SignalSpec(10), id="a name"),
        pytest.param("SIGUSR1", SignalSpec(10), id="a name with SIG"),
        pytest.param("usr2@90", SignalSpec(12, 90), id="lower case and seconds"),
        pytest.param("10@", SignalSpec(10, 0), id="nothing after the at sign is zero"),
        pytest.param("64", SignalSpec(64), id="a real-time signal by number"),
        pytest.param("B:USR1@30", SignalSpec(10, 30, is_batch_only=True), id="only the batch shell"),
        pytest.param("R:USR1", SignalSpec(10, is_for_reservation=True), id="for a reservation"),
        pytest.param("BR:10", SignalSpec(10, is_batch_only=True, is_for_reservation=True), id="both flags"),
        pytest.param("BUSR1", SignalSpec(10, is_batch_only=True), id="a flag without colon"),
        pytest.param("BUS", SignalSpec(7), id="BUS is a signal"),
    ],
)
def test_parse_reads_every_form(text: str, spec: SignalSpec) -> None:
    assert signal_spec.parse(text) == spec


@pytest.mark.parametrize(
    "text", ["", "ZZZ", "ZZZ@10", "0", "65", "@10", "10@99999", "10@x", "X:USR1", "B:R:10", ":10", "-1", "B", "٣"]
)
def test_parse_refuses_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        signal_spec.parse(text)
    assert refusal.value.message.startswith(f"{text!r} is not a signal: ")


def test_names_and_numbers_are_those_of_linux() -> None:
    for number, name in enumerate(signal_spec.NAMES, start=1):
        assert signal.Signals[f"SIG{name}"] == number
        assert signal_spec.parse_number(name.lower()) == number
        assert signal_spec.name(number) == name
    assert signal_spec.name(40) == "40"


def test_an_unknown_number_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'SIGNOPE' is not a signal"):
        signal_spec.parse_number("SIGNOPE")


@given(specs)
def test_parse_reverses_format(spec: SignalSpec) -> None:
    """parse(format_spec(s)) == s."""
    back = signal_spec.parse(signal_spec.format_spec(spec))
    assert back == spec
    assert (back.number, back.before_s) == (spec.number, spec.before_s)
    assert hash(back) == hash(spec)
