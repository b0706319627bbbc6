"""X11 from a job's nodes to the display of whoever started srun or salloc there (--x11)."""

from .base import Message


class ForwardX11(Message, frozen=True, kw_only=True):
    """srun or salloc to a node's agent; the connection is then that of the job's extern step.

    credential: of a step of the job, or for files of it.  cookie: what X clients on the node have to show; it is good
    for this forwarding alone.  is_for_job: steps that forward nothing of their own use it as well.
    """

    credential: str
    node: str
    cookie: bytes
    is_for_job: bool = False


# What follows on the connection, all NOTICEs: X11Ready once; then the streams of X clients, both ways.  Its end is the
# end of the forwarding.


class X11Ready(Message, frozen=True, kw_only=True):
    """Clients reach the display as localhost:NUMBER on the node, with the cookie in the file *xauthority*.

    problem: why they do not; the connection ends then.
    """

    number: int = -1
    xauthority: str = ""
    problem: str = ""


class X11Open(Message, frozen=True, kw_only=True):
    """From the node: a client has connected.  channel: never used again on this connection."""

    channel: int


class X11Data(Message, frozen=True, kw_only=True):
    channel: int
    data: bytes


class X11Close(Message, frozen=True, kw_only=True):
    """Nothing more comes on this channel, and nothing more is taken."""

    channel: int
