"""The nonces already seen, each kept until its credential expires."""

from __future__ import annotations

import heapq

from sluice.errors import AuthenticationFailed


class ReplayCache:
    """Remembers nonces; bounded by refusing, since forgetting would let a replay pass."""

    def __init__(self, nonces_max: int = 1_000_000) -> None:
        self._nonces_max = nonces_max
        self._seen: set[str] = set()
        self._by_expiry: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, nonce: str, expires_at: float, now_at: float) -> None:
        """Note *nonce*.  Raises AuthenticationFailed when it was here before, or nothing more can be noted."""
        self._forget_expired(now_at)
        if nonce in self._seen:
            raise AuthenticationFailed("credential was used before (replayed)")
        if len(self._seen) >= self._nonces_max:
            raise AuthenticationFailed(f"more than {self._nonces_max} credentials in use at once, try again later")
        self._seen.add(nonce)
        heapq.heappush(self._by_expiry, (expires_at, nonce))

    def _forget_expired(self, now_at: float) -> None:
        while self._by_expiry and self._by_expiry[0][0] < now_at:
            _, nonce = heapq.heappop(self._by_expiry)
            self._seen.discard(nonce)
