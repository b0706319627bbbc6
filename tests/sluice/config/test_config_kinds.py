"""Kinds of values: what a text means and what is refused."""

import pytest

from sluice.config import kinds
from sluice.config.kinds import Kind


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        pytest.param(kinds.BOOL, "yes", True, id="yes is true in any case"),
        pytest.param(kinds.BOOL, "0", False, id="zero is false"),
        pytest.param(kinds.SECONDS, "300", 300, id="seconds stay seconds"),
        pytest.param(kinds.SECONDS_OR_NO_LIMIT, "INFINITE", None, id="infinite seconds are no limit"),
        pytest.param(kinds.SECONDS_OR_NO_LIMIT, "-1", None, id="minus one is no limit"),
        pytest.param(kinds.MINUTES, "5", 300, id="minutes become seconds"),
        pytest.param(kinds.MINUTES, "UNLIMITED", None, id="unlimited minutes are no limit"),
        pytest.param(kinds.DURATION, "7-0", 7 * 86400, id="days-hours"),
        pytest.param(kinds.DURATION, "0", 0, id="a duration of zero is zero"),
        pytest.param(kinds.TIME_LIMIT, "1-0:30:30", 86400 + 31 * 60, id="time limits round up to minutes"),
        pytest.param(kinds.TIME_LIMIT, "infinite", None, id="an infinite time limit is none"),
        pytest.param(kinds.MIB, "64G", 65536, id="sizes may have a unit"),
        pytest.param(kinds.MIB_OR_NO_LIMIT, "0", None, id="no memory limit is written as zero"),
        pytest.param(kinds.PORT, "6817-6818", 6817, id="of a port range the first counts"),
        pytest.param(kinds.PORT_RANGE, "60000-60100", (60000, 60100), id="a port range"),
        pytest.param(kinds.PORT_RANGE, "0-0", None, id="zero ports are any"),
        pytest.param(kinds.PATH, "/var/log/%n.log", "/var/log/%n.log", id="an absolute path"),
        pytest.param(kinds.HOSTLIST, "n[1-2],x", ("n1", "n2", "x"), id="a hostlist"),
        pytest.param(kinds.HOSTS_OR_ALL, "all", (), id="all hosts are the empty list"),
        pytest.param(kinds.PARAMETERS, "BF_Window=60,defer", {"bf_window": "60", "defer": ""}, id="parameters"),
        pytest.param(kinds.WEIGHTS, "CPU=1.0,Mem=0.5G", {"cpu": 1.0, "mem": 0.5 / 1024}, id="weights per MiB"),
        pytest.param(kinds.COUNTS, "matlab:10,ansys", {"matlab": 10, "ansys": 1}, id="licenses"),
        pytest.param(kinds.EXIT_CODES, "1-3,9", (1, 2, 3, 9), id="exit codes"),
        pytest.param(kinds.GRES, "gpu:a100:4,nic", (("gpu", "a100", 4), ("nic", "", 1)), id="generic resources"),
        pytest.param(kinds.COUNT_WITH_UNIT, "4K", 4096, id="a count with a unit"),
        pytest.param(kinds.SAMPLE_INTERVAL, "task=15,energy=60", 15, id="of sampling intervals the tasks' counts"),
        pytest.param(kinds.DEBUG_LEVEL, "3", "info", id="levels may be numbers"),
        pytest.param(kinds.plugin("sched", "backfill"), "backfill", "sched/backfill", id="a plugin without prefix"),
        pytest.param(kinds.plugins("task"), "task/affinity,cgroup", ("affinity", "cgroup"), id="plugins of one kind"),
        pytest.param(kinds.plugins("task"), "task/none", (), id="the plugin none is no plugin"),
        pytest.param(kinds.one_of("NO", "ANY", YES="ANY"), "yes", "ANY", id="another spelling of a word"),
        pytest.param(kinds.some_of("jobs", "usage"), "USAGE,jobs", ("jobs", "usage"), id="words in the table's order"),
        pytest.param(kinds.some_of("jobs"), "none", (), id="none of the words"),
    ],
)
def test_a_text_has_its_value(kind: Kind, text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param(kinds.BOOL, "maybe", id="neither yes nor no"),
        pytest.param(kinds.SECONDS, "30 sec", id="a unit where none belongs"),
        pytest.param(kinds.SECONDS, "-5", id="a negative time"),
        pytest.param(kinds.SECONDS, "9" * 30, id="a number without end"),
        pytest.param(kinds.PATH, "var/log", id="a relative path"),
        pytest.param(kinds.PORT, "65536", id="a port beyond the last"),
        pytest.param(kinds.PORT_RANGE, "200-100", id="a range that runs backwards"),
        pytest.param(kinds.HOSTLIST, "n[1-", id="an open bracket"),
        pytest.param(kinds.WEIGHTS, "CPU", id="a weight without number"),
        pytest.param(kinds.EXIT_CODES, "256", id="an exit code beyond 255"),
        pytest.param(kinds.one_of("UP", "DOWN"), "sideways", id="a word that is not listed"),
        pytest.param(kinds.some_of("jobs"), "jobs,gossip", id="a list with a strange word"),
        pytest.param(kinds.plugin("sched", "backfill"), "../evil", id="a plugin name with a path"),
    ],
)
def test_a_wrong_text_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(Exception, match=r"."):
        kind.parse(text)
