"""Listeners of a step: a slow one is let go of, the step and the others go on."""

from __future__ import annotations

import socket

from sluice.wire.envelope import Envelope, append_frame, decode_body, decode_envelope
from sluice.wire.framing import CONNECTION_ID, NOTICE, FrameSplitter
from sluice.wire.messages import StepTalk, TaskInput, TaskOutput, TaskSignal
from sluiced.stdio.attached import UNREAD_MAX, Attached

_CHUNK = b"x" * 65536


def test_a_listener_that_does_not_read_is_let_go_of_in_bounded_memory() -> None:
    """What waits for it never passes the bound by more than one message, and it learns why it gets no more."""
    attached, ours, theirs = _listener()

    for _ in range(3 * UNREAD_MAX // len(_CHUNK)):
        attached.notify(TaskOutput(task=0, stream=1, data=_CHUNK))

    received = _drain(attached, theirs)
    theirs.close()
    outputs = [each for each in received if each.name == "TaskOutput"]
    assert len(outputs) * len(_CHUNK) <= UNREAD_MAX + 2 * len(_CHUNK)
    assert "attach again" in decode_body(received[-1].body, StepTalk).text
    assert ours.fileno() == -1, "it is closed once it has read what waited"


def test_only_what_a_listener_types_counts() -> None:
    """Its end of input and its signals are not the step's."""
    attached, _, theirs = _listener()
    frames = bytearray()
    for message in (TaskInput(data=b"typed"), TaskInput(is_end=True), TaskSignal(signal=9)):
        append_frame(frames, NOTICE, CONNECTION_ID, type(message).__name__, message)
    theirs.sendall(frames)

    (fd,) = attached.poll_events(is_input_wanted=True)
    said = attached.on_event(fd, 1)

    theirs.close()
    attached.close()
    assert said == [TaskInput(data=b"typed")]


def _listener() -> tuple[Attached, socket.socket, socket.socket]:
    attached = Attached()
    ours, theirs = socket.socketpair()
    attached.add(ours, [])
    return attached, ours, theirs


def _drain(attached: Attached, theirs: socket.socket) -> list[Envelope]:
    """Read everything as a listener does that has woken up."""
    splitter, frames = FrameSplitter(), []
    theirs.setblocking(False)
    while True:
        for fd in attached.poll_events(is_input_wanted=False):
            attached.on_event(fd, 4)
        try:
            data = theirs.recv(1 << 20)
        except BlockingIOError:
            continue
        if not data:
            return frames
        splitter.feed(data)
        while (payload := splitter.next()) is not None:
            frames.append(decode_envelope(payload))
