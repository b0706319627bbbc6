"""What a credential proves, and every way in which it does not."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.clock import VirtualClock
from sluice.errors import AuthenticationFailed
from sluice.wire.credentials import Claims, SharedKeyAuthenticator, mint, mint_own, new_nonce, verify
from sluice.wire.replay import ReplayCache

NOW_AT = 1_000_000.0
KEY = bytes(range(32))
ADA = Claims(uid=1234, gid=100, user="ada", host="login1", audience="sluicectld")

Make = Callable[..., str]


def test_a_good_credential_gives_its_claims() -> None:
    claims = Claims(
        uid=0, gid=0, user="root", host="n1", audience="node:n2", node="n1", extra={"job_id": 7, "step_id": 0}
    )
    text = mint(KEY, claims, NOW_AT, 300.0, "abc")

    seen = verify(KEY, text, "node:n2", NOW_AT + 299, ReplayCache())

    assert (seen.node, seen.extra) == ("n1", {"job_id": 7, "step_id": 0})
    assert (seen.issued_at, seen.expires_at, seen.nonce) == (NOW_AT, NOW_AT + 300, "abc")


def test_the_authenticator_gives_an_identity() -> None:
    authenticator = SharedKeyAuthenticator(KEY, VirtualClock(NOW_AT))

    identity = authenticator.check(mint(KEY, ADA, NOW_AT, 300.0, new_nonce()), "sluicectld")

    assert (identity.uid, identity.gid, identity.user, identity.host) == (1234, 100, "ada", "login1")
    assert identity.is_agent_of is None
    assert identity.pid is None


@pytest.mark.parametrize(
    ("at", "lifetime_s", "key", "audience", "text"),
    [
        (NOW_AT - 500, 300.0, KEY, "sluicectld", "'login1' expired 200 s ago by this clock .issued 500 s ago"),
        (NOW_AT + 95, 300.0, KEY, "sluicectld", "'login1' is 95 s ahead of this one .at most 60 s"),
        (NOW_AT, 300.0, b"another" * 5, "sluicectld", "another cluster key"),
        (NOW_AT, 300.0, KEY, "node:n1", "is for 'node:n1', this is 'sluicectld'"),
    ],
    ids=["expired", "not yet valid", "made with another key", "made out to somebody else"],
)
def test_refused(at: float, lifetime_s: float, key: bytes, audience: str, text: str) -> None:
    claims = Claims(uid=1, gid=1, user="ada", host="login1", audience=audience)

    with pytest.raises(AuthenticationFailed, match=text):
        verify(KEY, mint(key, claims, at, lifetime_s, "n"), "sluicectld", NOW_AT, None)


@pytest.mark.parametrize("at", [NOW_AT + 59, NOW_AT - 359], ids=["ahead by 59 s", "behind by 59 s"])
def test_clocks_may_disagree_by_less_than_a_minute(at: float) -> None:
    assert verify(KEY, mint(KEY, ADA, at, 300.0, "n"), "sluicectld", NOW_AT, None).uid == 1234


def test_a_clock_that_is_ahead_is_told_before_it_hurts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        SharedKeyAuthenticator(KEY, VirtualClock(NOW_AT)).check(mint(KEY, ADA, NOW_AT + 30, 300.0, "n"), "sluicectld")

    assert "host login1: clock is ahead of this one ahead_s=30" in caplog.text


def test_a_credential_passes_once() -> None:
    text, cache = mint(KEY, ADA, NOW_AT, 300.0, new_nonce()), ReplayCache()
    verify(KEY, text, "sluicectld", NOW_AT, cache)

    with pytest.raises(AuthenticationFailed, match="replayed"):
        verify(KEY, text, "sluicectld", NOW_AT + 359, cache)


@given(st.data())
def test_no_changed_character_passes(data: st.DataObject) -> None:
    """Every text but the minted one is refused."""
    text = mint(KEY, ADA, NOW_AT, 300.0, "n")
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters(exclude_characters=text[place])) + text[place + 1 :]

    with pytest.raises(AuthenticationFailed):
        verify(KEY, changed, "sluicectld", NOW_AT, None)


@given(st.text() | st.from_regex(r"sl1\.[0-9a-f]{8}\.\w*\.\w*"))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(AuthenticationFailed):
        verify(KEY, text, "sluicectld", NOW_AT, None)


def test_the_replay_cache_forgets_what_has_expired() -> None:
    cache = ReplayCache(nonces_max=2)
    cache.add("a", NOW_AT + 10, NOW_AT)
    cache.add("b", NOW_AT + 20, NOW_AT)
    cache.add("c", NOW_AT + 30, NOW_AT + 11)

    assert len(cache) == 2


def test_a_full_replay_cache_refuses_instead_of_forgetting() -> None:
    cache = ReplayCache(nonces_max=1)
    cache.add("a", NOW_AT + 10, NOW_AT)

    with pytest.raises(AuthenticationFailed, match="more than 1 credentials"):
        cache.add("b", NOW_AT + 10, NOW_AT)


def test_whoever_reads_the_key_mints_for_himself(folder: Path, key: bytes) -> None:
    text = mint_own(str(folder / "cluster.key"), "sluicectld", NOW_AT)

    assert verify(key, text, "sluicectld", NOW_AT, None).uid == os.getuid()
