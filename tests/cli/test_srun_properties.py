"""Laws of what srun does with streams and with the file of --multi-prog, whatever comes."""

from __future__ import annotations

import re
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from sluice_cli import multi_prog
from sluice_cli.draft import OptionError
from sluice_cli.srun_output import OutputWriter
from sluiced.steps.multi_prog import program_of

_NTASKS = 4
_chunks = st.lists(st.tuples(st.integers(0, _NTASKS - 1), st.binary(max_size=20) | st.sampled_from([b"\n", b"a\nb\n"])))
#: Files of --multi-prog, mostly nearly right.
_line = st.from_regex(r"(\*|[0-9](-[0-9])?(,[0-9])*) [a-z%o'\\t]{0,8}( [a-z%]{1,3})?", fullmatch=True)
_texts = st.lists(_line | st.text(max_size=12)).map("\n".join)


def _written(chunks: list[tuple[int, bytes]], **how: bool) -> bytes:
    with tempfile.TemporaryFile() as file:
        writer = OutputWriter({1: file.fileno(), 2: file.fileno()}, _NTASKS, **how)
        for task, data in chunks:
            assert writer.add(task, 1, data)
        writer.end()
        file.seek(0)
        return file.read()


@given(_chunks)
def test_labelled_lines_without_their_labels_are_what_each_task_wrote(chunks: list[tuple[int, bytes]]) -> None:
    """However its writes were cut, each task's bytes are there, in order; a label makes the last line whole."""
    written = _written(chunks, is_labelled=True, is_unbuffered=False)

    for task in range(_NTASKS):
        said = b"".join(data for rank, data in chunks if rank == task)
        expected = said if said.endswith(b"\n") or not said else said + b"\n"
        assert b"".join(re.findall(rb"(?m)^%d: ([^\n]*\n)" % task, written)) == expected


@given(_chunks)
def test_no_byte_is_lost_or_made_up_without_labels(chunks: list[tuple[int, bytes]]) -> None:
    for is_unbuffered in (False, True):
        written = _written(chunks, is_labelled=False, is_unbuffered=is_unbuffered)

        assert sorted(written) == sorted(b"".join(data for _, data in chunks))


@given(_texts, st.integers(1, 6))
def test_a_file_that_srun_accepts_has_a_program_for_every_rank(text: str, ntasks: int) -> None:
    """The nodes read what srun has checked: accepted there is never nothing here, and nothing raises but a refusal."""
    try:
        multi_prog.check(text, "file", ntasks)
    except OptionError:
        return

    assert all(program_of(text, rank) for rank in range(ntasks))


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_./=+-]{1,8}", fullmatch=True), min_size=1), st.integers(0, 9))
def test_plain_words_are_a_program_as_they_stand(words: list[str], rank: int) -> None:
    assert program_of(f"{rank} " + " ".join(words), rank) == tuple(words)
    assert program_of("0-9 " + " ".join(f"'{word} x'" for word in words), rank) == tuple(f"{word} x" for word in words)


def test_ranges_of_any_size_are_compared_and_not_counted_out():
    text = "5-99999999999,0-2 true %o\n"

    assert program_of(text, 99999999998) == ("true", str(3 + 99999999998 - 5))
    assert program_of(text, 2) == ("true", "2")
    assert program_of(text, 3) == ()
