"""auth/key: credentials under a cluster key that controller and agents share.

A credential is text: "sl1.KEYID.CLAIMS.MAC".  KEYID names the key without revealing it, CLAIMS is
base64url JSON, MAC is HMAC-SHA256 in base64url over everything before its dot.  The MAC covers the
bytes as sent and is compared before they are parsed, so no canonical form is needed.

What may be claimed is decided by who mints: the local agent mints for the uid that it has seen on
its UNIX socket, the key's owner mints for itself.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import logging
import os
import pwd
from typing import Any

import msgspec

from sluice.clock import VirtualClock, WallClock
from sluice.errors import AuthenticationFailed
from sluice.wire.identity import Identity
from sluice.wire.keyfile import read_key_file
from sluice.wire.replay import ReplayCache

logger = logging.getLogger(__name__)

#: How far two hosts' clocks may disagree before credentials are refused.
CLOCK_SKEW_MAX_S = 60.0
#: From where a disagreement is logged.
CLOCK_SKEW_TOLD_S = 5.0
LIFETIME_S = 300.0
CREDENTIAL_SIZE_MAX = 8192

_SCHEME = "sl1"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a credential says; the last three are filled in by mint()."""

    uid: int
    gid: int
    user: str
    host: str
    audience: str
    #: The node whose agent presents it; None: a user.
    node: str | None = None
    #: What else it grants, such as the job and step whose step daemon may be asked.
    extra: dict[str, Any] = {}
    issued_at: float = 0.0
    expires_at: float = 0.0
    nonce: str = ""


def new_nonce() -> str:
    return os.urandom(16).hex()


def mint(key: bytes, claims: Claims, now_at: float, lifetime_s: float, nonce: str) -> str:
    """Return *claims* as a credential that is valid from now for *lifetime_s*."""
    dated = msgspec.structs.replace(claims, issued_at=now_at, expires_at=now_at + lifetime_s, nonce=nonce)
    signed = f"{_SCHEME}.{_key_id(key)}.{_to_base64(msgspec.json.encode(dated))}"
    return f"{signed}.{_to_base64(_mac(key, signed))}"


def verify(key: bytes, text: str, audience: str, now_at: float, replay_cache: ReplayCache | None) -> Claims:
    """Return what *text* claims, once all of it holds.

    replay_cache: None for credentials that may be shown more than once.
    Raises AuthenticationFailed: malformed, foreign, forged, for another audience, expired,
    not yet valid, replayed.
    """
    claims = _open(key, text)
    if claims.audience != audience:
        raise AuthenticationFailed(f"credential is for {claims.audience!r}, this is {audience!r}")
    _check_dates(claims, now_at)
    if replay_cache is not None:
        # The nonce is kept for as long as the dates would still pass.
        replay_cache.add(claims.nonce, claims.expires_at + CLOCK_SKEW_MAX_S, now_at)
    return claims


def mint_own(key_file: str, audience: str, now_at: float) -> str:
    """Return a credential for this process's own user.  Raises ConfigError about the key file."""
    uid = os.getuid()
    claims = Claims(uid=uid, gid=os.getgid(), user=user_name(uid), host=os.uname().nodename, audience=audience)
    return mint(read_key_file(key_file), claims, now_at, LIFETIME_S, new_nonce())


def user_name(uid: int) -> str:
    """Return the name of *uid*, or the number as text where the system knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class SharedKeyAuthenticator:
    """The auth/key authenticator; one for each service, as it remembers the nonces it has seen."""

    def __init__(
        self, key: bytes, clock: WallClock | VirtualClock | None = None, replay_cache: ReplayCache | None = None
    ) -> None:
        self._key = key
        self._clock = clock or WallClock()
        self._replay_cache = replay_cache if replay_cache is not None else ReplayCache()

    def check(self, credential: str, audience: str) -> Identity:
        now_at = self._clock.now()
        claims = verify(self._key, credential, audience, now_at, self._replay_cache)
        ahead_s = claims.issued_at - now_at
        if ahead_s > CLOCK_SKEW_TOLD_S:
            logger.warning("host %s: clock is ahead of this one ahead_s=%.0f", claims.host, ahead_s)
        return identity_of(claims)


def identity_of(claims: Claims) -> Identity:
    return Identity(
        uid=claims.uid,
        gid=claims.gid,
        user=claims.user,
        host=claims.host,
        is_agent_of=claims.node,
        grants=claims.extra,
    )


def _open(key: bytes, text: str) -> Claims:
    """Return the claims of an authentic credential, whatever they say."""
    if len(text) > CREDENTIAL_SIZE_MAX or not text.isascii():
        raise AuthenticationFailed("malformed credential")
    signed, _, mac = text.rpartition(".")
    parts = signed.split(".")
    if len(parts) != 3 or parts[0] != _SCHEME:
        raise AuthenticationFailed("malformed credential")
    if parts[1] != _key_id(key):
        raise AuthenticationFailed(
            f"credential was made with another cluster key (key {parts[1]!r}, here {_key_id(key)!r})"
        )
    if not hmac.compare_digest(mac, _to_base64(_mac(key, signed))):
        raise AuthenticationFailed("credential is forged: its signature does not match")
    try:
        return msgspec.json.decode(_from_base64(parts[2]), type=Claims)
    except (msgspec.DecodeError, binascii.Error) as error:
        raise AuthenticationFailed(f"malformed credential: {error}") from None


def _check_dates(claims: Claims, now_at: float) -> None:
    ahead_s = claims.issued_at - now_at
    if ahead_s > CLOCK_SKEW_MAX_S:
        raise AuthenticationFailed(
            f"credential is not yet valid: the clock of {claims.host!r} is {ahead_s:.0f} s ahead of this one"
            f" (at most {CLOCK_SKEW_MAX_S:.0f} s are allowed); set the clocks"
        )
    late_s = now_at - claims.expires_at
    if late_s > CLOCK_SKEW_MAX_S:
        raise AuthenticationFailed(
            f"credential from {claims.host!r} expired {late_s:.0f} s ago by this clock"
            f" (issued {now_at - claims.issued_at:.0f} s ago); get a new one, and check the clocks if it is new"
        )


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"sluice key id\0" + key).hexdigest()[:8]


def _mac(key: bytes, signed: str) -> bytes:
    return hmac.digest(key, signed.encode("ascii"), "sha256")


def _to_base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii").translate(_TO_URL).rstrip("=")


def _from_base64(text: str) -> bytes:
    return binascii.a2b_base64(text.translate(_FROM_URL) + "=" * (-len(text) % 4))


_TO_URL = str.maketrans("+/", "-_")
_FROM_URL = str.maketrans("-_", "+/")
