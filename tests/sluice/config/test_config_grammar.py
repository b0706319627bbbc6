"""slurm.conf's grammar: how text becomes pairs, and files become one document."""

from pathlib import Path

import pytest

from sluice.config import grammar
from sluice.config.grammar import Document, read_document, split_pairs
from sluice.config.light import INCLUDE_DEPTH_MAX
from sluice.config.problems import Problems


def read(path: Path) -> Document:
    problems = Problems()
    document = read_document(path, problems)
    problems.raise_if_any()
    return document


def pairs_of(tmp_path: Path, text: str) -> list[tuple[tuple[str, str], ...]]:
    file = tmp_path / "main.conf"
    file.write_text(text)
    return [line.pairs for line in read(file).lines]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        pytest.param("A=1 B=2", (("A", "1"), ("B", "2")), id="pairs are separated by blanks"),
        pytest.param("A = 1", (("A", "1"),), id="blanks may surround the equals sign"),
        pytest.param('Reason="a b" X=1', (("Reason", "a b"), ("X", "1")), id="quotes keep blanks"),
        pytest.param('Nodes="" X=1', (("Nodes", ""), ("X", "1")), id="an empty quoted value is empty"),
        pytest.param("Nodes= State=UP", (("Nodes", ""), ("State", "UP")), id="a pair does not become a value"),
        pytest.param("W=CPU=1,Mem=2 X=1", (("W", "CPU=1,Mem=2"), ("X", "1")), id="a value may hold equals signs"),
        pytest.param("W = CPU=1,Mem=2", (("W", "CPU=1,Mem=2"),), id="even after a free-standing equals sign"),
        pytest.param("Nodes=", (("Nodes", ""),), id="nothing after the equals sign is empty"),
    ],
)
def test_a_line_splits_into_pairs(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert split_pairs(text) == pairs


@pytest.mark.parametrize("text", ["word", "A=1 word", "=1", 'A="1"2'])
def test_what_is_no_pair_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not Key=Value"):
        split_pairs(text)


def test_comments_end_a_line_but_not_inside_quotes_or_escaped(tmp_path: Path) -> None:
    text = '# all of it\nA=1 # rest\nB="x #y" # rest\nC=a\\#b\n\n   \n'
    assert pairs_of(tmp_path, text) == [(("A", "1"),), (("B", "x #y"),), (("C", "a#b"),)]


def test_a_backslash_joins_lines_and_the_first_one_is_their_number(tmp_path: Path) -> None:
    file = tmp_path / "main.conf"
    file.write_text("A=1\nB=2 \\\n  C=3 # not joined \\\nD=4\n")
    assert [(line.number, line.pairs) for line in read(file).lines] == [
        (1, (("A", "1"),)),
        (2, (("B", "2"), ("C", "3"))),
        (4, (("D", "4"),)),
    ]


def test_include_reads_in_place_relative_to_the_including_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.conf").write_text("ClusterName=Anchor\ninclude sub/%c.conf\nZ=1\n")
    (tmp_path / "sub" / "anchor.conf").write_text("Include other.conf\n")
    (tmp_path / "sub" / "other.conf").write_text("Y=1\n")

    document = read(tmp_path / "main.conf")

    assert [line.pairs[0][0] for line in document.lines] == ["ClusterName", "Y", "Z"]
    assert [Path(file).name for file in document.files] == ["main.conf", "anchor.conf", "other.conf"]


def errors_of(path: Path) -> list[str]:
    problems = Problems()
    read_document(path, problems)
    return [str(error) for error in problems.errors]


def test_a_file_that_includes_itself_is_refused_at_the_line_that_does(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("Include b.conf\n")
    (tmp_path / "b.conf").write_text("\nInclude a.conf\n")

    (error,) = errors_of(tmp_path / "a.conf")

    assert error.startswith(f"{tmp_path}/b.conf:2: Include: includes itself")


def test_includes_deeper_than_the_bound_are_refused(tmp_path: Path) -> None:
    for depth in range(INCLUDE_DEPTH_MAX + 2):
        (tmp_path / f"{depth}.conf").write_text(f"Include {depth + 1}.conf\n")

    (error,) = errors_of(tmp_path / "0.conf")

    assert f"more than {INCLUDE_DEPTH_MAX} files deep" in error


def test_a_missing_included_file_names_the_line_that_wants_it(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("A=1\nInclude gone.conf\n")
    (error,) = errors_of(tmp_path / "a.conf")
    assert error == f"{tmp_path}/a.conf:2: Include: '{tmp_path}/gone.conf' cannot be read: no such file or directory"


def test_a_device_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "FILE_BYTES_MAX", 1000)

    assert errors_of(Path("/dev/zero")) == ["/dev/zero: '/dev/zero' has more than 1000 bytes"]


def test_cluster_name_in_an_include_needs_the_name_first(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("Include %c.conf\n")
    (error,) = errors_of(tmp_path / "a.conf")
    assert error.endswith("'%c.conf' needs ClusterName on a line above")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"A=1\n\xff\xfe")
    (error,) = errors_of(tmp_path / "a.conf")
    assert "is not UTF-8: byte 4" in error


def test_partition_files_follow_the_main_file_in_name_order(tmp_path: Path) -> None:
    (tmp_path / "partitions.d").mkdir()
    (tmp_path / "main.conf").write_text("A=1\n")
    for name in ("20-b.conf", "10-a.conf", "ignored.txt"):
        (tmp_path / "partitions.d" / name).write_text(f"PartitionName={name}\n")

    document = read_document(tmp_path / "main.conf", Problems(), with_partitions_folder=True)

    assert [line.pairs[0][1] for line in document.lines] == ["1", "10-a.conf", "20-b.conf"]


def test_the_digest_changes_when_any_file_does(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("Include b.conf\n")
    (tmp_path / "b.conf").write_text("A=1\n")
    before = read(tmp_path / "a.conf").digest
    assert read(tmp_path / "a.conf").digest == before

    (tmp_path / "b.conf").write_text("A=1 # now with a remark\n")

    assert read(tmp_path / "a.conf").digest != before
