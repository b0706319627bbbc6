"""What all messages have in common, and the reply of a request that only acts."""

import msgspec


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Base of all messages."""


class Done(Message, frozen=True, kw_only=True):
    """The reply of a request that only acts.  lines: what the user should be told, one a line.

    warnings: what was done, but maybe not as it was meant.
    """

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
