"""Jobs of other users: who they are, what they get, and what they do not get to see."""

from __future__ import annotations

import grp
import os
import pwd
import stat

import pytest
from msgspec.structs import replace

from sluiced.steps.limits import Limits, chosen_limits, nice_of
from tests.nodeagent.conftest import CONFIG, Cluster, make_job
from tests.waiting import wait_until

NOBODY = {"uid": 65534, "gid": 65534, "user": "nobody"}

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
_LIMITS: Limits = (("NOFILE", 1, 2), ("CORE", 0, 0), ("STACK", 5, 5))


def open_work(cluster: Cluster) -> Cluster:
    cluster.work.chmod(0o777)
    return cluster


def _member() -> pwd.struct_passwd | None:
    """Return some user of this machine who is in a group besides their own."""
    for group in grp.getgrall():
        for name in group.gr_mem:
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            if user.pw_uid and user.pw_gid != group.gr_gid:
                return user
    return None


@pytest.mark.system
@pytest.mark.skipif(os.getuid() != 0 or _member() is None, reason="needs root, and a user in a second group")
def test_the_machine_says_which_groups_a_user_is_in(cluster: Cluster) -> None:
    user = _member()
    assert user is not None

    open_work(cluster).run("id -G; id -u", uid=user.pw_uid, gid=user.pw_gid, user=user.pw_name)

    groups, uid = cluster.read().splitlines()
    assert uid == str(user.pw_uid)
    assert set(map(int, groups.split())) == set(os.getgrouplist(user.pw_name, user.pw_gid))


def _unknown_uid() -> int:
    known = {user.pw_uid for user in pwd.getpwall()}
    return next(uid for uid in range(40000, 60000) if uid not in known)


@pytest.mark.system
@as_root
def test_an_unknown_user_is_told_so(cluster: Cluster) -> None:
    uid = _unknown_uid()

    result = open_work(cluster).run("touch ran", uid=uid, gid=uid, user="ghost")

    assert result.reason == "JobLaunchFailure"
    expected = f"uid {uid} (ghost) is not known on node n1: `getent passwd {uid}` there finds nobody"
    assert (result.reason_text, result.exit_signal) == (expected, 53)
    assert not (cluster.work / "ran").exists()


@pytest.mark.system
@as_root
def test_a_job_gets_three_descriptors_and_no_more(cluster: Cluster) -> None:
    """Neither of the agent's sockets nor of the spool's files; the fourth is that of the listing itself."""
    open_work(cluster).run("ls -l /proc/self/fd | sed -n 's/.* \\([0-9]* -> .*\\)/\\1/p'", **NOBODY)

    links = dict(line.split(" -> ") for line in cluster.read().splitlines())
    assert sorted(links) == ["0", "1", "2", "3"]
    assert links["0"] == "/dev/null"
    assert links["1"].startswith("pipe:")
    assert links["2"] == str(cluster.work / "out.txt")
    assert links["3"].startswith("/proc/")


@pytest.mark.system
@as_root
def test_the_spool_is_nobody_elses(cluster: Cluster) -> None:
    """While the job runs: no other user may read its script, environment or orders, nor list what there is."""
    job_id = open_work(cluster).submit("echo up > up; sleep 300", **NOBODY)
    wait_until(lambda: (cluster.work / "up").exists())

    spied = 0
    for path in [cluster.spool, *cluster.spool.rglob("*")]:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            continue
        spied += 1
        assert found.st_mode & (stat.S_IROTH | stat.S_IWOTH) == 0 or stat.S_ISSOCK(found.st_mode), path
        assert found.st_mode & stat.S_IRGRP == 0 or stat.S_ISSOCK(found.st_mode), path
        if stat.S_ISSOCK(found.st_mode) and path.suffix == ".events":
            assert (found.st_mode & 0o777, found.st_uid) == (0o600, 65534)
    assert spied > 5
    cluster.end(job_id)
    cluster.result(job_id)


@pytest.mark.system
@as_root
def test_a_work_directory_that_the_user_may_not_enter_is_replaced(cluster: Cluster) -> None:
    """As where root is nobody on a network file system, it is the user's rights that count."""
    private = cluster.folder / "private"
    private.mkdir(mode=0o700)

    open_work(cluster).launch(make_job(1, private, **NOBODY, std_out=str(cluster.work / "out.txt")), "#!/bin/sh\npwd\n")

    cluster.result(1)
    said, where = cluster.read().splitlines()
    assert where == "/tmp"
    assert said.endswith(f"error: couldn't chdir to `{private}': Permission denied: going to /tmp instead")


@pytest.mark.system
@as_root
def test_a_user_may_ask_for_less_of_the_machine_but_not_for_more(cluster: Cluster) -> None:
    """The nice value is taken over by the user's own rights: one below the agent's is not to be had."""
    cluster.kill_agent()
    cluster.controller.config = replace(CONFIG, propagate_nice=1)
    cluster.start_agent()

    for wanted in ("7", "-15"):
        environment = {"PATH": os.environ["PATH"], "SLURM_PRIO_PROCESS": wanted}
        open_work(cluster).run("nice", **NOBODY, environment=environment, std_out=f"nice{wanted}")

    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert (cluster.read("nice7"), cluster.read("nice-15")) == ("7\n", f"{own}\n")


@pytest.mark.parametrize(
    ("names", "refused", "is_asked", "expected"),
    [
        pytest.param("ALL", "", False, ["NOFILE", "CORE", "STACK"], id="all by default"),
        pytest.param("NONE", "", False, [], id="none"),
        pytest.param("NOFILE,core", "", False, ["NOFILE", "CORE"], id="some"),
        pytest.param("", "STACK", False, ["NOFILE", "CORE"], id="all but some"),
        pytest.param("NONE", "", True, ["NOFILE", "CORE", "STACK"], id="what the user asked for"),
    ],
)
def test_the_site_says_which_limits_come_along(names: str, refused: str, is_asked: bool, expected: list[str]) -> None:
    config = replace(CONFIG, propagate_limits=names, propagate_limits_except=refused)

    assert [name for name, _, _ in chosen_limits(_LIMITS, config, is_asked)] == expected


@pytest.mark.parametrize(
    ("mode", "told", "expected"),
    [
        pytest.param(0, "5", None, id="not taken over"),
        pytest.param(1, "5", 5, id="taken over"),
        pytest.param(1, "", None, id="not told"),
        pytest.param(1, "x", None, id="no number"),
        pytest.param(2, "-3", 1, id="one above the agent at the least"),
        pytest.param(2, "9", 9, id="above it anyway"),
        pytest.param(1, "99", 19, id="more than there is"),
    ],
)
def test_the_nice_value_is_the_submitters(mode: int, told: str, expected: int | None) -> None:
    config = replace(CONFIG, propagate_nice=mode)

    assert nice_of({"SLURM_PRIO_PROCESS": told}, config, 0) == expected
