"""A step that could not begin: the Reason's word for listings and the sentence for the user."""

from __future__ import annotations

from sluice.model.reason import Reason


class LaunchFailure(Exception):
    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
