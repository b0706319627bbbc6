"""sinfo's listings, to the byte as recorded."""

import json
import os
from typing import Any

import pytest

from sluice.model.partition import Partition
from sluice.model.request import GresRequest
from sluice_cli import sinfo
from tests.cli import fake_controller
from tests.cli.records import at, node, plain

HEADER = "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n"
ALL = ("n1", "n2", "n3", "n4")


def partitions(*others: Partition) -> Any:
    batch = Partition(name="batch", nodes=ALL, is_default=True, max_limit_s=2 * 86400, default_limit_s=3600, index=0)
    short = Partition(name="short", nodes=ALL, max_limit_s=1800, index=1, priority_tier=10)
    return {"partitions": [plain(each) for each in (batch, short, *others)]}


@pytest.fixture
def controller(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr("time.ctime", lambda: "Sun Nov 22 17:28:51 2026")
    fake.replies["QueryPartitions"] = partitions()
    busy = {"allocated_memory_mib": 23000}
    fake.replies["QueryNodes"] = {
        "nodes": [
            node("n1", "mixed", allocated_cpus=7, **busy),
            node("n2", "mixed", allocated_cpus=1, **busy),
            node("n3", "allocated", allocated_cpus=8, **busy),
            node("n4", "mixed", allocated_cpus=4, **busy),
        ],
        "now_at": at("17:28:51"),
    }
    return fake


def run(capfd, *words):
    status = sinfo.main(words)
    output = capfd.readouterr()
    return status, output.out, output.err


def test_the_default_listing(controller, capfd):
    assert run(capfd) == (
        0,
        HEADER
        + "batch*       up 2-00:00:00      3    mix n[1-2,4]\n"
        + "batch*       up 2-00:00:00      1  alloc n3\n"
        + "short        up      30:00      3    mix n[1-2,4]\n"
        + "short        up      30:00      1  alloc n3\n",
        "",
    )


def test_the_recorded_format(controller, capfd):
    assert run(capfd, "-h", "-o", "%P|%a|%l|%D|%T|%C|%m|%N")[1] == (
        "batch*|up|2-00:00:00|3|mixed|12/12/0/24|23000|n[1-2,4]\n"
        "batch*|up|2-00:00:00|1|allocated|8/0/0/8|23000|n3\n"
        "short|up|30:00|3|mixed|12/12/0/24|23000|n[1-2,4]\n"
        "short|up|30:00|1|allocated|8/0/0/8|23000|n3\n"
    )


def test_the_summary(controller, capfd):
    assert run(capfd, "-s")[1] == (
        "PARTITION AVAIL  TIMELIMIT   NODES(A/I/O/T) NODELIST\n"
        "batch*       up 2-00:00:00          4/0/0/4 n[1-4]\n"
        "short        up      30:00          4/0/0/4 n[1-4]\n"
    )


def test_nodes_at_length(controller, capfd):
    _, out, _ = run(capfd, "-N", "-l")

    assert out.startswith(
        "Sun Nov 22 17:28:51 2026\n"
        "NODELIST   NODES PARTITION       STATE CPUS    S:C:T MEMORY TMP_DISK WEIGHT AVAIL_FE REASON              \n"
        "n1             1    batch*       mixed 8       8:1:1  23000        0      1   (null) none                \n"
        "n1             1     short       mixed 8       8:1:1  23000        0      1   (null) none                \n"
        "n2             1    batch*       mixed 8       8:1:1  23000        0      1   (null) none                \n"
    )


def test_no_reasons(controller, capfd):
    assert run(capfd, "-R")[1] == "REASON               USER      TIMESTAMP           NODELIST\n"


def test_reasons(controller, capfd):
    drained = node(
        "n4",
        "idle",
        ("DRAIN",),
        is_drained=True,
        reason="bad disk  x",
        reason_at=at("20:04:09"),
        reason_user="root",
    )
    controller.replies["QueryNodes"]["nodes"][3] = drained

    assert run(capfd, "-R")[1].splitlines()[1:] == ["bad disk  x          root      2026-11-22T20:04:09 n4"]
    assert run(capfd, "-Rl")[1].splitlines()[1:] == [
        "REASON               USER         TIMESTAMP           STATE  NODELIST",
        "bad disk  x          root(0)      2026-11-22T20:04:09 drain  n4",
    ]


STATES = [
    ("idle", (), "idle", "idle"),
    ("mixed", ("DRAIN",), "drng", "draining"),
    ("idle", ("DRAIN",), "drain", "drained"),
    ("idle", ("NOT_RESPONDING",), "idle*", "idle*"),
    ("down", ("NOT_RESPONDING",), "down*", "down*"),
    ("idle", ("FAIL",), "fail", "fail"),
    ("allocated", ("COMPLETING",), "alloc+", "allocated+"),
    ("idle", ("COMPLETING",), "comp", "completing"),
    ("idle", ("PLANNED",), "plnd", "planned"),
    ("mixed", ("PLANNED",), "mix-", "mixed-"),
    ("unknown", ("NOT_RESPONDING",), "unk*", "unknown*"),
]


@pytest.mark.parametrize(("base", "flags", "short", "long"), STATES)
def test_words_for_states(controller, capfd, base, flags, short, long):
    controller.replies["QueryNodes"] = {"nodes": [node("n1", base, flags)]}

    assert run(capfd, "-h", "-p", "batch", "-o", "%t %T")[1] == f"{short} {long}\n"


def test_order_of_states_and_partitions_without_nodes(controller, capfd):
    controller.replies["QueryPartitions"] = partitions(Partition(name="closed", nodes=("n4",), state="DOWN", index=2))
    controller.replies["QueryNodes"] = {
        "nodes": [node("n1", "mixed"), node("n2"), node("n3"), node("n4", "idle", ("DRAIN",))]
    }

    assert run(capfd, "-p", "batch")[1] == (
        HEADER
        + "batch*       up 2-00:00:00      1  drain n4\n"
        + "batch*       up 2-00:00:00      1    mix n1\n"
        + "batch*       up 2-00:00:00      2   idle n[2-3]\n"
    )
    assert run(capfd, "-h", "-n", "n1,n9")[1].splitlines()[2] == "closed     down   infinite      0    n/a "
    assert run(capfd, "-t", "drain", "-h", "-p", "closed,short")[1] == (
        "short        up      30:00      1  drain n4\nclosed     down   infinite      1  drain n4\n"
    )
    assert run(capfd, "-p", "nosuch") == (0, HEADER, "")


def test_nodes_count_once_where_partitions_are_not_shown(controller, capfd):
    assert run(capfd, "-h", "-o", "%N")[1] == "n[1-4]\n"
    assert run(capfd, "-h", "-o", "%D %t")[1] == "3 mix\n1 alloc\n"
    assert run(capfd, "-h", "-N", "-o", "%R %N", "-n", "n2")[1] == "batch n2\nshort n2\n"


def test_different_sizes_are_merged_unless_exact(controller, capfd):
    controller.replies["QueryNodes"] = {"nodes": [node("n1", cpus=4, cpu_load=0.06), node("n2", cpu_load=0.12)]}

    assert run(capfd, "-h", "-p", "batch", "-o", "%c %O %N")[1] == "4+ 0.06-0.12 n[1-2]\n"
    assert run(capfd, "-h", "-e", "-p", "batch", "-o", "%c %N")[1] == "4 n1\n8 n2\n"


def test_gres_and_load_by_name(controller, capfd):
    gpus = node("n1", gres=(GresRequest(name="gpu", type="a100", count=2),), gres_used="gpu:a100:1(IDX:0)")
    controller.replies["QueryNodes"] = {"nodes": [gpus]}

    assert run(capfd, "-h", "-p", "batch", "-O", "nodehost:6,gres:.12,gresused:.20,statelong:.6")[1] == (
        "vm      gpu:a100:2   gpu:a100:1(IDX:0)  idle\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("-t", "foo"), 1, 'sinfo: error: Bad state string: "foo"\n'),
        (
            ("-o", "%N", "-l"),
            1,
            "sinfo: fatal: Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry.\n",
        ),
        (("-O", "bogus"), 0, "sinfo: error: Invalid job format specification: bogus\n"),
        (("-o", "%q"), 0, "Invalid node format specification: q\n"),
        (("--bogus",), 1, "sinfo: unrecognized option '--bogus'\n"),
    ],
)
def test_what_is_refused_and_how(controller, capfd, words, status, expected):
    result = run(capfd, *words)

    assert result[0] == status
    assert result[2].startswith(expected)


def test_sorting(controller, capfd):
    assert run(capfd, "-h", "-S", "-P,N", "-o", "%P %t %N")[1].splitlines()[0] == "short mix n[1-2,4]"
    assert run(capfd, "-h", "-S", "?", "-o", "%P")[0] == 0


def test_hidden_partitions_and_future_nodes_do_not_show(controller, capfd, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    secret = Partition(name="secret", nodes=ALL, is_hidden=True, index=2)
    controller.replies["QueryPartitions"] = partitions(secret)
    controller.replies["QueryNodes"]["nodes"].append(node("n5", "future"))

    assert "secret" not in run(capfd)[1]
    assert "secret" in run(capfd, "-a")[1]


def test_json_has_the_lines_and_the_nodes(controller, capfd):
    document = json.loads(run(capfd, "--json")[1])

    assert [line["nodes"]["total"] for line in document["sinfo"]] == [3, 1, 3, 1]
    assert document["nodes"][0]["state"] == ["MIXED"]


def test_every_field_can_be_shown(controller, capfd):
    status, out, err = run(capfd, "-O", "all")

    assert (status, err) == (0, "")
    assert out.count("\n") == 5
