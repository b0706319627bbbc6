"""Which driver a machine gets, and what is said of what it cannot enforce."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluiced.cgroup import detect
from sluiced.cgroup.interface import NoTree
from sluiced.cgroup.v1 import V1Tree
from sluiced.cgroup.v2 import V2Tree


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder to a root user, to be made look like a mount."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def _v1(mount: Path, *controllers: str) -> None:
    for name in controllers:
        (mount / name).mkdir()
        (mount / name / "tasks").touch()


def test_a_mount_with_controllers_in_folders_is_v1(mount: Path) -> None:
    _v1(mount, "memory")

    assert isinstance(detect.find_tree(CgroupSettings(mountpoint=str(mount))), V1Tree)


def test_a_mount_that_is_one_hierarchy_is_v2(mount: Path) -> None:
    (mount / "cgroup.controllers").write_text("memory")

    assert isinstance(detect.find_tree(CgroupSettings(mountpoint=str(mount))), V2Tree)
    assert isinstance(detect.find_tree(CgroupSettings(mountpoint=str(mount), plugin="cgroup/v2")), V2Tree)


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        pytest.param("disabled", "CgroupPlugin=disabled", id="switched off"),
        pytest.param("cgroup/v2", "CgroupPlugin=cgroup/v2, and {mount} is no cgroup v2 mount", id="the wrong one"),
        pytest.param("autodetect", "{mount} holds no cgroup mount", id="nothing is mounted"),
    ],
)
def test_why_there_is_none_is_told(mount: Path, plugin: str, why: str) -> None:
    settings = CgroupSettings(mountpoint=str(mount), plugin=plugin)

    assert isinstance(detect.find_tree(settings), NoTree)
    everything = "memory, swap, cores, devices, processes, freezing"
    assert detect.unenforced(settings) == f"cgroups: {everything}: {why.format(mount=mount)}"


def test_controllers_that_are_missing_are_told_with_what_is_not_enforced_without_them(mount: Path) -> None:
    _v1(mount, "memory", "freezer", "cpuset", "devices")

    assert detect.unenforced(CgroupSettings(mountpoint=str(mount))) == (
        f"cgroups: processes: no pids controller that can be used in {mount}; "
        "swap: the kernel keeps no account of swap space (swapaccount=1)"
    )


def test_keys_that_ask_for_what_is_missing_are_told(mount: Path) -> None:
    _v1(mount, "memory", "freezer", "devices")
    settings = CgroupSettings(mountpoint=str(mount), constrain_cores=True, constrain_ram_space=True, processes_max=9)

    assert detect.unmet(settings) == [
        f"ConstrainCores: no cpuset controller that can be used in {mount}",
        f"SluiceMaxProcesses: no pids controller that can be used in {mount}",
    ]


def test_names_are_one_folder_each_whatever_the_cluster_is_called() -> None:
    assert detect.node_name("../a/b", "n1", "/spool").startswith("sluice_.._a_b_n1_")


def test_clusters_of_the_same_name_on_one_machine_have_groups_of_their_own() -> None:
    assert detect.node_name("c", "n1", "/one/spool") != detect.node_name("c", "n1", "/other/spool")
