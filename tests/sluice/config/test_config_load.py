"""A whole configuration: settings, nodes, partitions, and everything wrong with them at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.config.load import inspect, load
from sluice.config.problems import ConfigErrors
from sluice.config.records import NO_LIMIT_S, NodeConfig
from sluice.config.settings import Controller

#: The fixture of conftest.py; --import-mode=importlib gives tests no way to import its class.
Folder = Any


def errors_of(path: Path) -> list[str]:
    return [str(error).replace(f"{path.parent}/", "") for error in inspect(path).errors]


def test_settings_are_typed_and_in_seconds(folder: Folder) -> None:
    path = folder.write(
        settings="SlurmctldHost=backup\nslurmdtimeout=600\nOverTimeLimit=5\nPriorityMaxAge=1-12\n"
        "SchedulerParameters=bf_window=2880,defer\nPrologFlags=contain\nAccountingStorageEnforce=safe"
    )
    settings = load(path).settings
    assert settings.cluster_name == "anchor"
    assert settings.controllers == (Controller("head", "10.0.0.1"), Controller("backup", "backup"))
    assert settings.slurmd_timeout_s == 600
    assert settings.over_limit_s == 300
    assert settings.priority_max_age_s == 36 * 3600
    assert settings.scheduler_parameters == {"bf_window": "2880", "defer": ""}
    assert settings.prolog_flags == ("Alloc", "Contain")
    assert settings.accounting_storage_enforce == ("associations", "limits", "safe")


def test_files_of_our_own_follow_from_where_the_configuration_is(folder: Folder) -> None:
    settings = load(folder.write(settings="StateSaveLocation=/state")).settings
    assert settings.database_url == "sqlite:////state/sluice.db"
    assert settings.key_file == str(folder.folder / "sluice.key")
    assert settings.auth_type == "auth/key"


def test_a_node_range_expands_with_its_places_in_parallel(folder: Folder) -> None:
    path = folder.write(
        nodes="NodeName=a[1-2] NodeHostname=h[1-2] NodeAddr=10.0.0.[1-2] Port=17001-17002 CPUs=2\n"
        "NodeName=b[1-2] NodeHostname=one NodeAddr=127.0.0.1 Port=17[001-002]\nNodeName=c"
    )
    places = [(node.name, node.hostname, node.address, node.port) for node in load(path).nodes]
    assert places == [
        ("a1", "h1", "10.0.0.1", 17001),
        ("a2", "h2", "10.0.0.2", 17002),
        ("b1", "one", "127.0.0.1", 17001),
        ("b2", "one", "127.0.0.1", 17002),
        ("c", "c", "c", 6818),
    ]


def test_default_lines_add_up_and_apply_to_the_lines_after_them(folder: Folder) -> None:
    path = folder.write(
        nodes="NodeName=first\nNodeName=DEFAULT RealMemory=2000 Weight=5\nNodeName=DEFAULT Weight=7\n"
        "NodeName=second\nNodeName=third RealMemory=4G Features=a,b Gres=gpu:a100:4"
    )
    first, second, third = load(path).nodes
    assert (first.memory_mib, first.weight) == (1, 1)
    assert (second.memory_mib, second.weight) == (2000, 7)
    assert (third.memory_mib, third.weight) == (4096, 7)
    assert third.features == ("a", "b")
    assert third.gres == (("gpu", "a100", 4),)


def test_down_nodes_set_state_and_reason_of_configured_nodes(folder: Folder) -> None:
    path = folder.write(nodes='DownNodes=n[2-3] State=DRAIN Reason="bad fan"\nNodeName=n[1-3]\nDownNodes=n1')
    states = [(node.state, node.reason) for node in load(path).nodes]
    assert states == [("DOWN", ""), ("DRAIN", "bad fan"), ("DRAIN", "bad fan")]


def test_partitions_resolve_all_node_sets_and_lists_in_configuration_order(folder: Folder) -> None:
    path = folder.write(
        nodes="NodeName=n[1-3] Features=thin\nNodeName=g[1-2] Features=gpu\n"
        "NodeSet=fast Feature=gpu\nNodeSet=mixed Nodes=n3 Feature=gpu",
        partitions="PartitionName=all Nodes=ALL\nPartitionName=p Nodes=fast,n2,n1\nPartitionName=q Nodes=mixed\n"
        "PartitionName=empty Nodes= State=DOWN",
    )
    nodes = {partition.name: partition.nodes for partition in load(path).partitions}
    assert nodes == {
        "all": ("n1", "n2", "n3", "g1", "g2"),
        "p": ("n1", "n2", "g1", "g2"),
        "q": ("n3", "g1", "g2"),
        "empty": (),
    }


def test_partition_keys_become_typed_fields(folder: Folder) -> None:
    path = folder.write(
        partitions="PartitionName=DEFAULT MaxTime=1-0 PriorityTier=5\n"
        "PartitionName=p Nodes=ALL DefaultTime=30 OverSubscribe=FORCE:2 AllowGroups=a,b AllowAccounts=ALL "
        "MaxNodes=3 OverTimeLimit=UNLIMITED MaxMemPerNode=0 TRESBillingWeights=CPU=1.0,Mem=1G PreemptMode=requeue\n"
        "PartitionName=x Nodes=n1 Shared=EXCLUSIVE MaxTime=INFINITE Priority=9 ExclusiveUser=YES"
    )
    p, x = load(path).partitions
    assert (p.max_limit_s, p.default_limit_s, p.priority_tier) == (86400, 1800, 5)
    assert (p.oversubscribe, p.allow_groups, p.allow_accounts) == ("FORCE:2", ("a", "b"), ())
    assert (p.max_nodes, p.over_limit_s, p.max_memory_per_node_mib) == (3, NO_LIMIT_S, 0)
    assert p.billing_weights == {"cpu": 1.0, "mem": 1 / 1024}
    assert p.billing_weights_text == "CPU=1.0,Mem=1G"
    assert p.preempt_mode == ("REQUEUE",)
    assert (x.oversubscribe, x.exclusive, x.exclusive_user) == ("EXCLUSIVE", "NODE", True)
    assert (x.max_limit_s, x.priority_job_factor, x.over_limit_s) == (None, 9, None)


def test_gres_and_cgroup_files_beside_the_main_file_are_read(folder: Folder) -> None:
    folder.file("gres.conf", "AutoDetect=nvml\nNodeName=n[1-2] Name=gpu Type=a100 File=/dev/nvidia[0-1] Cores=0-3\n")
    folder.file("cgroup.conf", "ConstrainRAMSpace=yes\nAllowedRAMSpace=95.5\n")

    config = load(folder.write())

    assert config.gres[0].auto_detect == "nvml"
    assert config.gres[1].files == ("/dev/nvidia0", "/dev/nvidia1")
    assert [line.name for line in config.gres_of("n1")] == ["", "gpu"]
    assert [line.name for line in config.gres_of("n3")] == [""]
    assert config.cgroup.constrain_ram_space
    assert config.cgroup.allowed_ram_space_percent == 95.5
    assert len(config.files) == 3


def test_partition_files_in_partitions_d_are_part_of_it(folder: Folder) -> None:
    folder.file("partitions.d/debug.conf", "PartitionName=debug Nodes=n1\n")
    assert [partition.name for partition in load(folder.write()).partitions] == ["batch", "debug"]


def test_known_keys_without_effect_are_warned_about_once(folder: Folder) -> None:
    config = load(
        folder.write(settings="SwitchType=switch/none", nodes="NodeName=n1 Topology=a\nNodeName=n2 Topology=b")
    )
    assert [(warning.key, warning.line) for warning in config.warnings] == [("SwitchType", 4), ("Topology", 5)]
    assert config.raw_settings["SwitchType"] == "switch/none"


def test_a_key_that_stands_twice_is_warned_about_and_the_last_counts(folder: Folder) -> None:
    config = load(folder.write(settings="KillWait=10\nKillWait=20"))
    assert config.settings.kill_wait_s == 20
    assert [warning.key for warning in config.warnings] == ["KillWait"]


def test_all_errors_are_reported_together_with_their_places(folder: Folder) -> None:
    path = folder.write(settings="SlurmdTimeuot=5\nKillWait=soon", nodes="NodeName=n[1- CPUs=2\nNodeName=m")
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    assert [(error.line, error.key) for error in caught.value.errors] == [
        (4, "SlurmdTimeuot"),
        (5, "KillWait"),
        (6, "NodeName"),
    ]
    assert errors_of(path) == [
        "sluice.conf:4: SlurmdTimeuot: 'SlurmdTimeuot' is not a cluster key; did you mean 'SlurmdTimeout'?",
        "sluice.conf:5: KillWait: a whole number of seconds, 0 to 2147483647 expected; 'soon' is not a whole number",
        "sluice.conf:6: NodeName: 'n[1-' is not a hostlist: missing ']'",
    ]


def test_a_line_with_an_unknown_first_key_is_one_error_and_read_as_what_was_meant(folder: Folder) -> None:
    path = folder.write(
        settings="Urgent=yes Nodes=n1 Default=YES MaxTime=10\nKillWiat=3 Foo=2",
        nodes="NodName=n1 CPUs=2",
        partitions="PartitonName=urgent Nodes=n1 Default=YES\nPartition=slow Nodes=n1 MaxTime=soon",
    )

    of_value, *errors = sorted(errors_of(path), key=lambda text: ("MaxTime" not in text, text))
    assert errors == [
        "sluice.conf:4: Urgent: 'Urgent' is not a cluster key",
        "sluice.conf:5: KillWiat: 'KillWiat' is not a cluster key; did you mean 'KillWait'?",
        "sluice.conf:6: NodName: 'NodName' begins no line; did you mean 'NodeName'?",
        "sluice.conf:7: PartitonName: 'PartitonName' begins no line; did you mean 'PartitionName'?",
        "sluice.conf:8: Partition: 'Partition' begins no line; did you mean 'PartitionName'?",
    ]
    assert of_value.startswith("sluice.conf:8: MaxTime: ")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param({"head": "SlurmctldHost=h\n"}, "ClusterName: missing", id="no cluster name"),
        pytest.param({"head": "ClusterName=c\n"}, "SlurmctldHost: missing", id="no controller"),
        pytest.param({"nodes": "", "partitions": ""}, "NodeName: missing", id="no node"),
        pytest.param({"nodes": "NodeName=n1\nNodeName=n[1-2]"}, "node 'n1' stands already at", id="a node twice"),
        pytest.param({"nodes": "NodeName=ALL"}, "'ALL' is a reserved word", id="a node called ALL"),
        pytest.param({"nodes": "NodeName=n[1-3] NodeAddr=a[1-2]"}, "2 values for 3 nodes", id="too few addresses"),
        pytest.param({"nodes": "NodeName=n1 Port=x"}, "Port: 'x' is neither a port nor", id="a port that is none"),
        pytest.param(
            {"nodes": "NodeName=n[1-2] NodeAddr=127.0.0.1"},
            "node 'n2' has 127.0.0.1 port 6818, as node 'n1' has",
            id="two agents on one port",
        ),
        pytest.param({"nodes": "NodeName=n1 State=SLEEPY"}, "one of UNKNOWN, CLOUD", id="a state that is none"),
        pytest.param({"nodes": "NodeName=n1 CPUs=2 CPUs=2"}, "stands twice on one line", id="a key twice on a line"),
        pytest.param({"nodes": "NodeName=n1 NodeName=n2"}, "NodeName: stands twice", id="two node names on a line"),
        pytest.param({"nodes": "NodeName=n1 Gres=fpga:1"}, "'fpga' is not in GresTypes", id="a GRES of no known type"),
        pytest.param(
            {"nodes": "NodeName=n1 CoreSpecCount=1 CpuSpecList=0"}, "excludes CoreSpecCount", id="two ways to reserve"
        ),
        pytest.param({"nodes": "NodeName=n1\nDownNodes=m1"}, "node 'm1' is not configured", id="a strange down node"),
        pytest.param(
            {"partitions": "PartitionName=p Nodes=n[1-9]"}, "Nodes: 'n[5-9]': no such node", id="unknown nodes"
        ),
        pytest.param(
            {"partitions": "PartitionName=p Default=YES\nPartitionName=q Default=YES"},
            "partition 'p' is the default already",
            id="two default partitions",
        ),
        pytest.param(
            {"partitions": "PartitionName=p\nPartitionName=p"},
            "partition 'p' stands already at",
            id="a partition twice",
        ),
        pytest.param(
            {"partitions": "PartitionName=p MaxTime=10 DefaultTime=20"},
            "DefaultTime: 20 minutes are more than MaxTime, 10 minutes",
            id="a default beyond the maximum",
        ),
        pytest.param(
            {"partitions": "PartitionName=p Alternate=q"}, "partition 'q' is not configured", id="a strange alternate"
        ),
        pytest.param(
            {"partitions": "NodeSet=n1 Feature=a"}, "'n1' is a node already", id="a node set called as a node"
        ),
        pytest.param({"settings": "PreemptMode=SUSPEND"}, "SUSPEND needs GANG", id="suspension without gang"),
        pytest.param(
            {"settings": "DefMemPerCPU=1\nDefMemPerNode=2"}, "excludes DefMemPerCPU", id="two default memories"
        ),
        pytest.param({"settings": "SelectTypeParameters=CR_CPU,CR_Core"}, "CR_CPU and CR_Core exclude", id="two units"),
        pytest.param({"settings": "SlurmctldHost=a b"}, "'b' is not Key=Value", id="a word without equals sign"),
    ],
)
def test_a_contradiction_is_an_error_that_names_it(folder: Folder, parts: dict[str, str], message: str) -> None:
    errors = errors_of(folder.write(**parts))
    assert any(message in error for error in errors), errors


def test_a_refused_node_is_one_error_not_one_per_mention(folder: Folder) -> None:
    path = folder.write(nodes="NodeName=n1 CPUs=3 Sockets=2\nDownNodes=n1\nNodeSet=s Nodes=n1")
    assert [error.split(": ")[1] for error in errors_of(path)] == ["CPUs"]


def test_a_missing_file_is_an_error_not_a_crash(tmp_path: Path) -> None:
    assert errors_of(tmp_path / "gone.conf") == ["gone.conf: cannot be read: no such file or directory"]


@pytest.mark.parametrize(
    ("gres", "message"),
    [
        pytest.param("Name=gpu Count=3 File=/dev/nvidia[0-1]", "Count: 3, but File names 2", id="count against files"),
        pytest.param("Type=a100", "a line needs Name or AutoDetect", id="a line without name"),
        pytest.param("Name=gpu Cores=first", "core numbers such as 0-7,16 expected", id="cores that are none"),
        pytest.param("Name=gpu Colour=red", "'Colour' is not a gres.conf key", id="an unknown key"),
    ],
)
def test_gres_lines_are_checked(folder: Folder, gres: str, message: str) -> None:
    folder.file("gres.conf", gres + "\n")
    (error,) = errors_of(folder.write())
    assert error.startswith("gres.conf:1: ")
    assert message in error


def test_the_digest_tells_configurations_apart(folder: Folder) -> None:
    before = load(folder.write()).digest
    folder.file("cgroup.conf", "ConstrainCores=yes\n")
    assert load(folder.write()).digest != before


def topology(node: NodeConfig) -> tuple[int, ...]:
    return node.cpus, node.boards, node.sockets, node.cores_per_socket, node.threads_per_core


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("CPUs=8", (8, 1, 8, 1, 1), id="CPUs alone are sockets"),
        pytest.param("Sockets=2 CoresPerSocket=4 ThreadsPerCore=2", (16, 1, 2, 4, 2), id="CPUs are the product"),
        pytest.param("CPUs=8 CoresPerSocket=2", (8, 1, 4, 2, 1), id="sockets follow from CPUs and cores"),
        pytest.param("CPUs=8 ThreadsPerCore=2", (8, 1, 4, 1, 2), id="sockets follow from CPUs and threads"),
        pytest.param("CPUs=4 Sockets=1 CoresPerSocket=4 ThreadsPerCore=2", (4, 1, 1, 4, 2), id="CPUs may be the cores"),
        pytest.param("Boards=2 SocketsPerBoard=2 CoresPerSocket=4", (16, 2, 4, 4, 1), id="sockets are per board"),
        pytest.param("Weight=3", (1, 1, 1, 1, 1), id="nothing written is one of each"),
    ],
)
def test_topology_follows_from_what_is_written(folder: Folder, line: str, expected: tuple[int, ...]) -> None:
    """These are the numbers that Slurm 22.05 shows for the same lines."""
    (node,) = load(folder.write(nodes=f"NodeName=n1 {line}")).nodes
    assert topology(node) == expected


@pytest.mark.parametrize(
    "line", ["Sockets=2 CPUs=8", "CPUs=6 Sockets=1 CoresPerSocket=4 ThreadsPerCore=2", "CPUs=2 CoresPerSocket=4"]
)
def test_numbers_that_fit_no_level_are_refused_with_the_products(folder: Folder, line: str) -> None:
    (error,) = errors_of(folder.write(nodes=f"NodeName=n1 {line}"))
    assert "fits neither" in error


def test_the_errors_of_a_wrong_file_are_bounded(folder: Folder) -> None:
    path = folder.write(settings="\n".join(f"Unknown{i}=1" for i in range(3000)))
    assert len(errors_of(path)) == 1000


def _site_style(write: Callable[..., Path]) -> Path:
    return write(
        settings="""
# Everything a distribution's sample sets
ProctrackType=proctrack/linuxproc
ReturnToService=2
SlurmctldPidFile=/run/ctld.pid
SlurmdPidFile=/run/d.pid
SlurmdSpoolDir=/var/lib/agent
StateSaveLocation=/var/lib/controller
SlurmUser=nobody
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
SlurmctldDebug=info
SlurmctldLogFile=/var/log/ctld.log
SlurmdDebug=info
SlurmdLogFile=/var/log/d.log
""",
        nodes="NodeName=server CPUs=16 RealMemory=64000",
        partitions="PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    )


def test_a_configuration_in_the_style_of_a_distribution_is_accepted_in_silence(folder: Folder) -> None:
    config = load(_site_style(folder.write))
    assert config.warnings == ()
    assert config.settings.task_plugins == ()
    assert config.partitions[0].nodes == ("server",)
