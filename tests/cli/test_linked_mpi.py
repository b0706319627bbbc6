"""Which MPI a program is linked to, read from the file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_cli.linked_mpi import hint

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def build(folder: Path, soname: str) -> str:
    """Return a program that needs a library of that name, which does nothing."""
    library, program = folder / soname, folder / "program"
    (folder / "empty.c").write_text("int sluice_nothing(void) { return 0; }\n")
    (folder / "main.c").write_text("int sluice_nothing(void); int main(void) { return sluice_nothing(); }\n")
    for command in (
        ["cc", "-shared", "-o", str(library), f"-Wl,-soname,{soname}", str(folder / "empty.c")],
        ["cc", "-o", str(program), str(folder / "main.c"), str(library)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return str(program)


@needs_compiler
@pytest.mark.parametrize(
    ("soname", "mpi", "expected"),
    [
        pytest.param(
            "libmpi.so.40", "none",
            "is linked to Open MPI (libmpi.so.40), whose tasks do not find each other with --mpi=none; use --mpi=pmix",
            id="Open MPI with nothing",
        ),
        pytest.param(
            "libmpich.so.12", "pmix",
            "is linked to MPICH (libmpich.so.12), whose tasks do not find each other with --mpi=pmix; use --mpi=pmi2",
            id="MPICH with PMIx",
        ),
        pytest.param("libmpi.so.40", "pmix_v4", "", id="Open MPI with PMIx"),
        pytest.param("libmpich.so.12", "pmi2", "", id="MPICH with PMI"),
        pytest.param("libm.so.6", "none", "", id="no MPI"),
    ],
)  # fmt: skip
def test_a_program_that_needs_another_wiring_is_told(tmp_path: Path, soname: str, mpi: str, expected: str) -> None:
    program = build(tmp_path, soname)

    assert hint(program, "/", "", mpi) == (f"{program} {expected}" if expected else "")
    assert hint("./program", str(tmp_path), "", mpi) == (f"./program {expected}" if expected else "")
    assert hint("program", "/", f"/none:{tmp_path}", mpi) == (f"program {expected}" if expected else "")


@pytest.mark.parametrize("program", ["/none/such", sys.executable, __file__, "absent", "/dev/null", "/"])
def test_of_other_files_nothing_is_said(program: str) -> None:
    assert hint(program, "/", "/usr/bin", "none") == ""


@given(st.binary(max_size=200))
def test_broken_files_are_no_trouble(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever follows the first bytes of a program's file."""
    file = tmp_path_factory.getbasetemp() / "broken"
    file.write_bytes(b"\x7fELF\x02\x01" + data)

    assert hint(str(file), "/", "", "none") == ""
