"""A topology on a live cluster: from the file to the nodes of a job and to its environment."""

from pathlib import Path

from sluice.testing import LocalCluster

TOPOLOGY = "SwitchName=s1 Nodes=n[1-2]\nSwitchName=s2 Nodes=n3\nSwitchName=top Switches=s[1-2]\n"


def test_a_job_gets_near_nodes_and_its_tasks_know_where_they_are(local_cluster: LocalCluster) -> None:
    conf = Path(local_cluster.conf_path)
    before = conf.read_text()
    conf.with_name("topology.conf").write_text(TOPOLOGY)
    conf.write_text(before + "TopologyPlugin=topology/tree\n")
    try:
        local_cluster.run("scontrol", "reconfigure")
        shown = local_cluster.run("scontrol", "show", "topology", "n3").stdout
        one = local_cluster.run(
            "srun", "-n1", "sh", "-c", "echo $SLURM_TOPOLOGY_ADDR $SLURM_TOPOLOGY_ADDR_PATTERN"
        ).stdout
        two = local_cluster.run("srun", "-N2", "sh", "-c", "echo $SLURM_JOB_NODELIST").stdout
    finally:
        conf.with_name("topology.conf").unlink()
        conf.write_text(before)
        local_cluster.run("scontrol", "reconfigure")

    assert shown == (
        "SwitchName=s2 Level=0 LinkSpeed=1 Nodes=n3\nSwitchName=top Level=1 LinkSpeed=1 Nodes=n[1-3] Switches=s[1-2]\n"
    )
    assert one == "top.s2.n3 switch.switch.node\n", "one node comes from the smallest leaf"
    assert two.splitlines() == ["n[1-2]"] * 2
