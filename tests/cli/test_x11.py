"""srun's end of --x11: which display is meant, and a client's first words with the cookie exchanged."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_cli.x11_display import parse_display
from sluice_cli.x11_tunnel import Introduction, WrongCookie

MADE_UP, REAL = bytes(range(16)), bytes(range(100, 116))
NAME = b"MIT-MAGIC-COOKIE-1"


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def words(order: str, name: bytes, data: bytes, rest: bytes = b"") -> bytes:
    """A client's first words as Xlib says them."""
    head = struct.pack(order + "BxHHHHxx", ord("B" if order == ">" else "l"), 11, 0, len(name), len(data))
    return head + pad(name) + pad(data) + rest


@pytest.mark.parametrize(
    ("text", "host", "number"),
    [
        (":0", "", 0),
        ("unix:1.0", "", 1),
        ("localhost:10.0", "localhost", 10),
        ("desk.example.org:2", "desk.example.org", 2),
        ("[::1]:10", "::1", 10),
        ("::1:10", "::1", 10),
    ],
)
def test_a_display_is_a_host_and_a_number(text: str, host: str, number: int) -> None:
    display = parse_display(text)

    assert (display.host, display.number) == (host, number)


@pytest.mark.parametrize("text", ["", "0", "host", ":x", ":0.x", "/tmp/launch/org.x:0/"])
def test_what_is_no_display_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no display"):
        parse_display(text)


@given(order=st.sampled_from("<>"), rest=st.binary(max_size=50), cuts=st.lists(st.integers(0, 120), max_size=5))
def test_the_cookie_is_exchanged_however_the_words_come(order: str, rest: bytes, cuts: list[int]) -> None:
    """The same words with the display's own cookie, and what follows as it is."""
    said = words(order, NAME, MADE_UP, rest)
    introduction = Introduction(REAL, MADE_UP)
    heard, at = b"", 0
    is_over = False
    for cut in (*sorted(min(each, len(said)) for each in cuts), len(said)):
        piece, at = said[at:cut], cut
        answer = piece if is_over else introduction.feed(piece)
        if answer is not None and not is_over:
            is_over = True
        heard += answer or b""

    assert heard == words(order, NAME, REAL, rest)


@given(shown=st.binary(max_size=40), name=st.binary(max_size=40))
def test_every_other_cookie_is_refused(shown: bytes, name: bytes) -> None:
    said = words("<", NAME if len(name) % 2 else name, shown)
    if shown == MADE_UP:
        return

    with pytest.raises(WrongCookie) as refusal:
        Introduction(REAL, MADE_UP).feed(said)

    assert refusal.value.reply[:1] == b"\0"


def test_the_displays_own_cookie_does_not_open_the_tunnel() -> None:
    with pytest.raises(WrongCookie):
        Introduction(REAL, MADE_UP).feed(words(">", NAME, REAL))


def test_a_refusal_is_one_of_the_x_protocol() -> None:
    with pytest.raises(WrongCookie) as refusal:
        Introduction(REAL, MADE_UP).feed(words(">", NAME, bytes(16)))

    failed, size, major, minor, units = struct.unpack(">BBHHH", refusal.value.reply[:8])
    assert (failed, major, minor, units * 4) == (0, 11, 0, len(refusal.value.reply) - 8)
    assert refusal.value.reply[8 : 8 + size] == b"sluice: X11 connection with a wrong cookie refused\n"


def test_what_does_not_speak_x_is_refused_without_a_word() -> None:
    with pytest.raises(WrongCookie) as refusal:
        Introduction(REAL, MADE_UP).feed(b"GET / HTTP/1.1\r\n")

    assert refusal.value.reply == b""
