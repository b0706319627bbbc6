"""libpmix: that its layouts are ours, and what is said where it is not usable."""

import ctypes
from pathlib import Path

import pytest

from sluiced.pmi import libpmix
from sluiced.pmi.helper import Setup
from sluiced.pmi.layout import Layout
from sluiced.pmi.libpmix import LibraryProblem
from sluiced.pmi.local_pmix import HelperProblem, LocalPmix
from sluiced.steps.user import load_user


def is_installed() -> bool:
    try:
        libpmix.load()
    except LibraryProblem:
        return False
    return True


needs_library = pytest.mark.skipif(not is_installed(), reason="libpmix is not installed (tools/mpi.sh installs it)")


_TWO_NODES = Layout(("n1", "n2"), ((0, 1), (2,)), 0)


def make_local(temp_dir: Path, layout: Layout = _TWO_NODES) -> LocalPmix:
    user = load_user(0, 0, "root")
    setup = Setup(nspace="sluice.1.0.0", layout=layout, uid=user.uid, gid=user.gid, temp_dir=str(temp_dir))
    return LocalPmix(setup, user)


def test_structures_have_the_sizes_of_version_4() -> None:
    """As pmix_common.h and pmix_server.h of 4.2 have them on x86-64."""
    kinds = (libpmix.Proc, libpmix.Value, libpmix.Info, libpmix.Module)

    assert [ctypes.sizeof(kind) for kind in kinds] == [260, 32, 552, 28 * 8]


@needs_library
@pytest.mark.system
def test_the_helper_tells_what_each_tasks_environment_needs(tmp_path: Path) -> None:
    """It has checked the layouts with the running library before."""
    local = make_local(tmp_path)
    try:
        variables = [local.variables(rank) for rank in (0, 1)]
    finally:
        local.close()

    assert [each["PMIX_RANK"] for each in variables] == ["0", "1"]
    assert {each["PMIX_NAMESPACE"] for each in variables} == {"sluice.1.0.0"}
    assert variables[0]["PMIX_SERVER_URI4"].partition(";")[2].startswith("tcp4://")
    assert local.on_task_end(0) == [], "it has never connected"


@needs_library
@pytest.mark.system
def test_the_helper_takes_several_programs(tmp_path: Path) -> None:
    """The library would refuse facts of another type than it knows them by."""
    local = make_local(tmp_path, Layout(("n1", "n1+1"), ((0, 1), (2,)), 1, (0, 1)))
    try:
        assert local.variables(2)["PMIX_RANK"] == "2"
    finally:
        local.close()


def test_infos_hold_numbers_and_other_infos() -> None:
    inner = libpmix.infos([("pmix.lrank", libpmix.Local(3)), ("pmix.appnum", 2)])

    outer = libpmix.infos([("pmix.pdata", inner)])

    array = outer[0].value.data.array.contents
    assert (array.size, array.array[0].key, array.array[0].value.data.uint16) == (2, b"pmix.lrank", 3)
    assert (array.array[1].value.type, array.array[1].value.data.uint32) == (14, 2)


def test_a_missing_library_is_told_with_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(libpmix, "NAMES", ("libpmix-absent.so.2",))

    with pytest.raises(HelperProblem, match=r"libpmix-absent\.so\.2: cannot open .* install libpmix2"):
        make_local(tmp_path)


@needs_library
def test_a_version_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpmix, "MAJORS", (98, 99))

    with pytest.raises(LibraryProblem, match=r"libpmix\.so\.2 is '.*4\.\d+.*'; versions 98 and 99 on a 64-bit machine"):
        libpmix.load()


@needs_library
def test_another_version_than_was_asked_for_is_refused() -> None:
    with pytest.raises(
        LibraryProblem, match=r"libpmix\.so\.2 is '.*4\.\d+.*'; version 5 was asked for, --mpi=pmix takes"
    ):
        libpmix.load(5)
