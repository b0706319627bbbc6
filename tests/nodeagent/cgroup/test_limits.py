"""From a grant, cgroup.conf and a machine to limits: by table."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.model.allocation import NodeGrant
from sluice.model.confinement import CgroupSettings
from sluice.model.step import StepNode
from sluiced.cgroup.limits import Limits, Machine, compute_job_limits, compute_step_limits, unmet_cores

MIB = 1024 * 1024
#: 8 CPUs and 10,000 MiB.
MACHINE = Machine(memory_mib=10_000, cpus=0xFF)


def _settings(**keys: Any) -> CgroupSettings:
    return CgroupSettings(**keys)


def _grant(memory_mib: int = 0, cpus: str = "0-3") -> NodeGrant:
    return NodeGrant(node="n1", cpus=cpus, cpu_count=4, memory_mib=memory_mib)


@pytest.mark.parametrize(
    ("granted_mib", "keys", "memory_mib", "with_swap_mib"),
    [
        pytest.param(1000, {}, None, None, id="nothing is constrained"),
        pytest.param(1000, {"constrain_ram_space": True}, 1000, None, id="what was granted"),
        pytest.param(
            1000, {"constrain_ram_space": True, "allowed_ram_space_percent": 110.5}, 1105, None, id="AllowedRAMSpace"
        ),
        pytest.param(0, {"constrain_ram_space": True}, 10_000, None, id="none in particular: all of the machine's"),
        pytest.param(
            0,
            {"constrain_ram_space": True, "max_ram_percent": 90.0},
            9000,
            None,
            id="none in particular: MaxRAMPercent",
        ),
        pytest.param(
            9900,
            {"constrain_ram_space": True, "max_ram_percent": 90.0},
            9000,
            None,
            id="MaxRAMPercent is a bound for all",
        ),
        pytest.param(5, {"constrain_ram_space": True}, 30, None, id="MinRAMSpace"),
        pytest.param(5, {"constrain_ram_space": True, "min_ram_space_mib": 1}, 5, None, id="a lower MinRAMSpace"),
        pytest.param(
            1000, {"constrain_ram_space": True, "constrain_swap_space": True}, 1000, 1000, id="no swap space on top"
        ),
        pytest.param(
            1000,
            {"constrain_ram_space": True, "constrain_swap_space": True, "allowed_swap_space_percent": 25.0},
            1000,
            1250,
            id="AllowedSwapSpace",
        ),
        pytest.param(
            8000,
            {
                "constrain_ram_space": True,
                "constrain_swap_space": True,
                "allowed_swap_space_percent": 50.0,
                "max_swap_percent": 100.0,
            },
            8000,
            10_000,
            id="MaxSwapPercent is a bound of both together",
        ),
        pytest.param(
            8000,
            {"constrain_ram_space": True, "constrain_swap_space": True, "max_swap_percent": 50.0},
            8000,
            8000,
            id="both together are never below memory alone",
        ),
        pytest.param(
            1000,
            {"constrain_swap_space": True, "allowed_ram_space_percent": 50.0, "allowed_swap_space_percent": 20.0},
            1200,
            1200,
            id="swap space alone constrains the sum, and AllowedRAMSpace does not count",
        ),
    ],
)
def test_memory(granted_mib: int, keys: dict[str, Any], memory_mib: int | None, with_swap_mib: int | None) -> None:
    limits = compute_job_limits(_grant(granted_mib), _settings(**keys), MACHINE)

    expected = [None if mib is None else mib * MIB for mib in (memory_mib, with_swap_mib)]
    assert [limits.memory_bytes, limits.memory_and_swap_bytes] == expected


@pytest.mark.parametrize(
    ("granted", "is_constrained", "cpus"),
    [
        pytest.param("0-3", True, "0-3", id="as granted"),
        pytest.param("0-3", False, "", id="not constrained"),
        pytest.param("6-9", True, "6-7", id="those that the machine has"),
        pytest.param("8-9", True, "", id="none that the machine has"),
    ],
)
def test_cores(granted: str, is_constrained: bool, cpus: str) -> None:
    settings = _settings(constrain_cores=is_constrained)

    assert compute_job_limits(_grant(cpus=granted), settings, MACHINE).cpus == cpus
    told = unmet_cores(_grant(cpus=granted), settings, MACHINE)
    assert told == ("ConstrainCores: CPUs 8-9 were granted, groups here may use 0-7" if granted == "8-9" else "")


def test_processes_are_limited_where_the_site_says_how_many() -> None:
    assert compute_job_limits(_grant(), _settings(processes_max=500), MACHINE).processes == 500
    assert compute_job_limits(_grant(), _settings(), MACHINE).processes is None


@pytest.mark.parametrize(
    ("part", "is_exact", "expected"),
    [
        pytest.param({"cpus": "0"}, False, Limits(cpus="0-3"), id="all of its job's"),
        pytest.param({"cpus": "0"}, True, Limits(cpus="0"), id="its own CPUs if exact"),
        pytest.param({"cpus": "9"}, True, Limits(cpus="0-3"), id="its job's where it has none of them"),
        pytest.param({"memory_mib": 400}, False, Limits(400 * MIB, 500 * MIB, "0-3"), id="less memory"),
        pytest.param({"memory_mib": 1000}, False, Limits(cpus="0-3"), id="as much memory as its job"),
        pytest.param({"memory_mib": 2000}, False, Limits(cpus="0-3"), id="never more than its job"),
    ],
)
def test_a_step_has(part: dict[str, Any], is_exact: bool, expected: Limits) -> None:
    settings = _settings(
        constrain_ram_space=True, constrain_swap_space=True, constrain_cores=True, allowed_swap_space_percent=25.0
    )
    job = compute_job_limits(_grant(1000), settings, MACHINE)

    assert compute_step_limits(StepNode(node="n1", ntasks=1, **part), is_exact, job, settings, MACHINE) == expected
