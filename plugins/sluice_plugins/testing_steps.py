"""The contract of plugins that the step daemon asks, as functions for a plugin's own tests: mpi, launch."""

from msgspec.structs import replace

from sluice_plugins.interfaces import JobService, LaunchPlugin, MpiPlugin, MpiServer, MpiTask, Peer

MPI_TASK = MpiTask(
    job_id=12,
    step_id=0,
    rank=5,
    size=8,
    local_rank=1,
    local_size=4,
    descriptor=3,
    server_variables={"SERVER_URI": "tcp://127.0.0.1:1", "SERVER_RANK": "5"},
)

#: The second node of two, with two tasks and GPUs on each.
SERVICE = JobService(
    job_id=12,
    step_id=1,
    node_rank=1,
    peers=(Peer("n1", "10.0.0.1", 2), Peer("n2", "10.0.0.2", 2)),
    rank=2,
    size=4,
    local_size=2,
    ports=range(13000, 13008),
    cpus=8,
    memory_mib=4000,
    gpus=(0, 1),
    temp_dir="/tmp/sluice.12.1.x",
)


def check_mpi_plugin(plugin: MpiPlugin) -> None:
    """Raise AssertionError unless the plugin keeps its contract.

    Variables are text, twice the same, tell ranks apart where there is a server, and are none that it drops itself
    for every rank alike.
    """
    assert isinstance(plugin.server, MpiServer), f"{plugin.server!r} is no server"
    variables = plugin.variables(MPI_TASK)
    _check_variables(variables)
    assert variables == plugin.variables(MPI_TASK), "the same task got two answers"
    if plugin.server is MpiServer.PMI:
        other = plugin.variables(replace(MPI_TASK, rank=6, local_rank=2))
        assert other != variables, "two ranks cannot be told apart"
        assert str(MPI_TASK.descriptor) in variables.values(), "no variable names the server's descriptor"
    if plugin.server is MpiServer.PMIX:
        missing = MPI_TASK.server_variables.keys() - variables.keys()
        assert not missing, f"the server's own variables are lost: {missing}"
    assert isinstance(plugin.dropped, tuple), "dropped: a tuple, for str.startswith"
    assert all(plugin.dropped), "an empty beginning would drop every variable"


def check_launch_plugin(plugin: LaunchPlugin) -> None:
    """Raise AssertionError unless the plugin keeps its contract, also without GPUs or other nodes."""
    alone = replace(SERVICE, node_rank=0, peers=SERVICE.peers[:1], rank=0, size=2, gpus=())
    for service in (SERVICE, alone):
        _check_variables(plugin.variables(service))
        assert plugin.variables(service) == plugin.variables(service), "the same service got two answers"
        for argv in (("./train", "--x"), ("train.py",), ("python3", "train.py"), ("python3", "-c", "pass")):
            command = plugin.command(service, argv)
            assert command, f"{argv}: nothing to run"
            assert all(isinstance(word, str) for word in command), f"{command} is not all text"
            assert argv[-1] == command[-1], f"{command} does not end with the arguments of {argv}"
    if not plugin.is_per_node:
        first, second = (plugin.variables(replace(SERVICE, rank=rank, local_rank=rank - 2)) for rank in (2, 3))
        assert first != second, "two ranks cannot be told apart"


def _check_variables(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        assert isinstance(value, str), f"{name}: {value!r} is no text"
        assert name, f"{value!r} has no name"
        assert "=" not in name, f"{name!r} is no name of a variable"
        assert "\0" not in name + value, f"{name}: a zero ends it early"
