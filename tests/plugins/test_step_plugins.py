"""Plugins that the step daemon asks: the contracts, and what the built-in ones say."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from sluice.errors import PluginError
from sluice_plugins import registry
from sluice_plugins.interfaces import JobService
from sluice_plugins.launch.env import Environment
from sluice_plugins.launch.torchrun import Torchrun
from sluice_plugins.testing_steps import MPI_TASK, SERVICE, check_launch_plugin, check_mpi_plugin


@pytest.mark.parametrize("name", ["none", "pmi2", "pmix", "pmix_v4", "pmix_v5"])
def test_mpi_plugins_keep_their_contract(name: str) -> None:
    check_mpi_plugin(registry.find_mpi(name))


@pytest.mark.parametrize("name", ["env", "torchrun"])
def test_launchers_keep_their_contract(name: str) -> None:
    check_launch_plugin(registry.find_launcher(name))


def test_an_unknown_mpi_type_is_told_with_those_that_are() -> None:
    for name in ("bogus", "pmix_v9"):
        with pytest.raises(PluginError, match=f"no mpi plugin is called '{name}': none, pmi2, pmix"):
            registry.find_mpi(name)


def test_pmi2_tells_descriptor_rank_and_size() -> None:
    assert registry.find_mpi("pmi2").variables(MPI_TASK) == {
        "PMI_FD": "3",
        "PMI_RANK": "5",
        "PMI_SIZE": "8",
        "PMI_JOBID": "12.0",
    }


@pytest.mark.parametrize("name", ["pmi2", "pmix"])
def test_one_server_hides_the_variables_of_the_other(name: str) -> None:
    """MPICH from 4.2 on gives up when it finds both."""
    dropped = registry.find_mpi(name).dropped

    assert "PMI_SIZE".startswith(dropped)
    assert "PMIX_NAMESPACE".startswith(dropped)
    assert not "SLURM_MPI_TYPE".startswith(dropped)


def test_ranks_meet_at_the_heads_first_port() -> None:
    variables = Environment().variables(SERVICE)

    wanted = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "SLUICE_ROLE")
    assert [variables[name] for name in wanted] == ["2", "4", "0", "1", "10.0.0.1", "13000", "worker"]
    assert variables["SLUICE_PEERS"] == "10.0.0.1,10.0.0.2"


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(Environment().variables, id="env"),
        pytest.param(lambda service: Torchrun().command(service, ("train.py",)), id="torchrun"),
    ],
)
def test_without_a_port_there_is_no_place_to_meet(ask: Callable[[JobService], object]) -> None:
    with pytest.raises(PluginError, match="need a leased port to meet at, and the step has none"):
        ask(replace(SERVICE, ports=range(0)))


@pytest.mark.parametrize(
    ("argv", "start", "end"),
    [
        pytest.param(("train.py", "-x"), ("torchrun",), ("train.py", "-x"), id="a script"),
        pytest.param(
            ("/opt/bin/python3.12", "train.py"),
            ("/opt/bin/python3.12", "-m", "torch.distributed.run"),
            ("train.py",),
            id="a script for an interpreter",
        ),
        pytest.param(("./train", "-x"), ("torchrun",), ("--no-python", "./train", "-x"), id="a program"),
        pytest.param(("python3", "-c", "x"), ("torchrun",), ("--no-python", "python3", "-c", "x"), id="other words"),
    ],
)
def test_torchrun_starts(argv: tuple[str, ...], start: tuple[str, ...], end: tuple[str, ...]) -> None:
    command = Torchrun().command(SERVICE, argv)

    assert command[: len(start)] == start
    assert command[-len(end) :] == end
    assert "--nproc-per-node=2" in command
    assert "--rdzv-endpoint=10.0.0.1:13000" in command
    assert "--rdzv-conf=is_host=0" in command
    assert "--local-addr=10.0.0.2" in command


def test_one_task_with_gpus_has_a_worker_for_each() -> None:
    service = replace(SERVICE, local_size=1, gpus=(0, 1, 2, 3))

    assert "--nproc-per-node=4" in Torchrun().command(service, ("train.py",))
