"""What tasks wrote, on its way to srun's own streams: labelled or not, whole lines or as it comes.

Invariant: every byte of a stream of a task is written, in order.  Lines of different tasks do not mix, except
unbuffered, where a step has one task alone, and in lines longer than LINE_MAX.
"""

from __future__ import annotations

from sluice_cli.talk import write_all

#: A longer line is written in pieces.
LINE_MAX = 1024 * 1024


class OutputWriter:
    """Writes the streams of a step.

    outputs: descriptor by stream number.  is_whole_lines: parts of lines wait for their end.
    """

    def __init__(self, outputs: dict[int, int], ntasks: int, is_labelled: bool, is_unbuffered: bool) -> None:
        self._outputs = outputs
        self._is_labelled = is_labelled
        self._label_width = len(str(max(0, ntasks - 1)))
        self._is_whole_lines = is_labelled or (ntasks > 1 and not is_unbuffered)
        self._partial: dict[tuple[int, int], bytes] = {}
        self._gone: set[int] = set()
        #: Why a stream could not be written, where it was not a reader that went away.
        self.problem = ""

    def add(self, task: int, stream: int, data: bytes) -> bool:
        """Write what is whole of the stream with *data* added to it; False: its reader has gone away."""
        if not self._is_whole_lines:
            return self._write(stream, data)
        key = (task, stream)
        data = self._partial.pop(key, b"") + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > LINE_MAX:
            end = len(data)
        if end < len(data):
            self._partial[key] = data[end:]
        return self._write(stream, self._labelled(task, data[:end])) if end else True

    def end(self) -> None:
        """Write the lines that have no end; a label makes them whole."""
        for (task, stream), data in sorted(self._partial.items()):
            self._write(stream, self._labelled(task, data + b"\n" if self._is_labelled else data))
        self._partial.clear()

    def _labelled(self, task: int, data: bytes) -> bytes:
        if not self._is_labelled:
            return data
        label = b"%*d: " % (self._label_width, task)
        lines = data.split(b"\n")
        tail = lines.pop()
        text = b"".join(label + line + b"\n" for line in lines)
        return text + label + tail if tail else text

    def _write(self, stream: int, data: bytes) -> bool:
        descriptor = self._outputs[stream]
        if descriptor in self._gone:
            return False
        try:
            write_all(descriptor, data)
        except BrokenPipeError:
            # Nobody reads this stream any more; the other one may have its reader still.
            self._gone.add(descriptor)
        except OSError as error:
            self._gone.add(descriptor)
            self.problem = error.strerror or str(error)
        return descriptor not in self._gone
