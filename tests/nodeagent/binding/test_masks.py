"""Which CPUs tasks are bound to: masks recorded from Slurm 22.05, and the laws that hold for all of them.

Recorded on a node of 2 sockets, 4 cores each, 2 threads each: the masks that slurmd generated, with its task/affinity.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import cpu_bind, cpuset, distribution
from sluice.cpu_bind import CpuBind
from sluice.errors import InvalidRequest
from sluiced.binding.masks import Request, decide_masks
from tests.nodeagent.binding.trees import make_topology

NODE = make_topology(2, 4, 2)
WHOLE = 0xFFFF


def _request(options: str, cpus: int = WHOLE, topology: object = NODE) -> Request:
    """Return the request of srun's options: -n4 -c2 -m block:cyclic --cpu-bind=cores --hint=... ."""
    fields: dict[str, object] = {}
    for word in options.split():
        if word.startswith("-n"):
            fields["ntasks"] = int(word[2:])
        elif word.startswith("-c"):
            fields["cpus_per_task"] = int(word[2:])
        elif word.startswith("-m"):
            fields["distribution"] = distribution.parse(word[2:])
        elif word.startswith("hint="):
            fields["hint"] = word[5:]
        elif "=" in word:
            name, _, number = word.partition("=")
            fields[name] = int(number)
        else:
            fields["bind"] = cpu_bind.parse(word)
    return Request(topology, cpus, **fields)  # type: ignore[arg-type]


def _listed(masks: tuple[int, ...]) -> str:
    return " ".join(f"{mask:X}" for mask in masks)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # Nothing is said: the level of which there are as many as the tasks need CPUs.
        ("-n2", "FF FF00"),
        ("-n8", "3 300 C C00 30 3000 C0 C000"),
        ("-n16", "1 100 2 200 4 400 8 800 10 1000 20 2000 40 4000 80 8000"),
        ("-n2 -c8", "FF FF00"),
        ("-n1 -c16", "FFFF"),
        ("-n1", "FFFF"),
        ("-n4", "FFFF FFFF FFFF FFFF"),
        ("-n5", "FFFF FFFF FFFF FFFF FFFF"),
        # Cores.
        ("-n2 cores", "3 300"),
        ("-n3 cores", "3 300 C"),
        ("-n6 cores", "3 300 C C00 30 3000"),
        ("-n12 cores", "3 300 C C00 30 3000 C0 C000 3 300 C C00"),
        ("-n16 cores", "3 300 C C00 30 3000 C0 C000 3 300 C C00 30 3000 C0 C000"),
        ("-n4 -mcyclic cores", "3 300 C C00"),
        ("-n4 -mplane=2 cores", "3 C 30 C0"),
        ("-n4 -m*:block cores", "3 C 30 C0"),
        ("-n8 -mblock:block cores", "3 C 30 C0 300 C00 3000 C000"),
        ("-n8 -mblock:cyclic cores", "3 300 C C00 30 3000 C0 C000"),
        ("-n8 -mblock:fcyclic cores", "3 300 C C00 30 3000 C0 C000"),
        ("-n12 -mblock:block cores", "3 C 30 C0 300 C00 3000 C000 3 C 30 C0"),
        ("-n6 -c2 -mblock:block cores", "3 C 30 C0 300 C00"),
        ("-n3 -c3 -mblock:block cores", "F F0 F00"),
        ("-n3 -c3 -mblock:cyclic cores", "F F00 F0"),
        # Threads.
        ("-n2 threads", "1 100"),
        ("-n4 threads", "1 100 2 200"),
        ("-n8 -mblock:block threads", "1 2 4 8 10 20 40 80"),
        ("-n8 -mblock:cyclic threads", "1 100 2 200 4 400 8 800"),
        ("-n8 -mblock:fcyclic threads", "1 100 2 200 4 400 8 800"),
        ("-n4 -c2 -mblock:block threads", "3 C 30 C0"),
        ("-n4 -c2 -mblock:cyclic threads", "3 300 C C00"),
        ("-n4 -c2 -mblock:fcyclic threads", "101 202 404 808"),
        ("-n3 -c3 -mblock:block threads", "7 38 1C0"),
        ("-n3 -c3 -mblock:cyclic threads", "7 700 38"),
        ("-n3 -c3 -mblock:fcyclic threads", "103 604 818"),
        ("-n3 -c5 -mblock:cyclic threads", "1F 1F00 60E0"),
        ("-n2 -c7 -mblock:block threads", "7F 3F80"),
        ("-n2 -c7 -mblock:cyclic threads", "7F 7F00"),
        # Sockets.
        ("-n2 sockets", "FF FF00"),
        ("-n4 sockets", "FF FF00 FF FF00"),
        ("-n4 -mblock:block sockets", "FF FF FF FF"),
        ("-n4 -c3 -mblock:block sockets", "FF FF FFFF FF00"),
        # Hints and limits.
        ("-n4 hint=nomultithread", "1 100 4 400"),
        ("-n8 hint=nomultithread", "1 100 4 400 10 1000 40 4000"),
        ("-n9 -mblock:block threads hint=nomultithread", "1 2 4 8 10 20 40 80 100"),
        ("-n2 -c2 hint=nomultithread", "5 500"),
        ("-n8 hint=multithread", "1 100 2 200 4 400 8 800"),
        ("-n4 hint=compute_bound", "3 300 C C00"),
        ("-n2 hint=memory_bound", "3 300"),
        ("-n2 threads hint=memory_bound", "1 100"),
        ("-n8 threads_per_core=1", "3 300 C C00 30 3000 C0 C000"),
        ("-n4 -c2 threads threads_per_core=1", "5 500 50 5000"),
        ("-n4 tasks_per_core=1", "3 300 C C00"),
        ("-n8 tasks_per_core=2", "3 300 C C00 30 3000 C0 C000"),
        ("-n4 threads tasks_per_core=1", "1 100 4 400"),
        ("-n4 threads tasks_per_core=2", "1 100 2 200"),
        ("-n4 -c2 threads tasks_per_core=1", "3 300 C C00"),
        ("-n4 tasks_per_socket=2", "FF FF00 FF FF00"),
        ("-n4 -mblock:block threads tasks_per_socket=3", "1 2 4 100"),
        ("-n4 -mblock:block cores tasks_per_socket=2", "3 C 300 C00"),
        ("-n5 cores tasks_per_socket=4", "3 300 C C00 30"),
        # More tasks than CPUs.
        ("-n20", " ".join(["FFFF"] * 20)),
        ("-n20 cores", " ".join(["FFFF"] * 20)),
        # By hand.
        ("-n4 rank", "1 2 4 8"),
        ("-n4 map_cpu:0,4,8", "1 10 100 1"),
        ("-n4 map_cpu:0,3*2,5", "1 8 8 20"),
        ("-n4 mask_cpu:0x3,0xf0", "3 F0 3 F0"),
        ("-n4 mask_cpu:1*2,10", "1 1 10 1"),
        ("-n2 none", "FFFF FFFF"),
    ],
    ids=lambda value: str(value)[:48],
)
def test_masks_on_a_whole_node_are_as_recorded(options: str, expected: str) -> None:
    assert _listed(decide_masks(_request(options)).masks) == expected


@pytest.mark.parametrize(
    ("cpus", "options", "expected"),
    [
        (0x0003, "-n2", "1 2"),
        (0x0003, "-n2 cores", "3 3"),
        (0x0003, "-n1", "3"),
        (0x000F, "-n4 cores", "3 C 3 C"),
        (0x000F, "-n4 none", "F F F F"),
        (0x000F, "-n1 -c3", "F"),
        (0x003F, "-n2 -c3", "7 38"),
        (0x003F, "-n2 -c3 cores", "F 33"),
        (0x0303, "-n3", "303 303 303"),
        (0x0303, "-n3 threads", "1 100 2"),
        (0x0303, "-n3 sockets", "3 300 3"),
        (0x0F0F, "-n4 -c2", "3 300 C C00"),
        (0x0F0F, "-n2 -c4", "F F00"),
        (0x0F0F, "-n4 -mblock:fcyclic -c2 threads", "101 202 404 808"),
    ],
)
def test_masks_on_a_part_of_a_node_are_as_recorded(cpus: int, options: str, expected: str) -> None:
    assert _listed(decide_masks(_request(options, cpus)).masks) == expected


@pytest.mark.parametrize(
    ("cpus", "options", "expected"),
    [
        (0x1, "-n1", "3"),
        (0x1, "-n1 threads", "1"),
        (0x2, "-n1 threads", "2"),
        (0x2, "-n1 rank", "2"),
        (0x7, "-n3", "F F F"),
        (0x7, "-n3 cores", "3 C 3"),
        (0x1, "-n1 map_cpu:1", "2"),
    ],
)
def test_a_step_that_has_a_thread_reaches_its_jobs_other_threads_of_the_core(
    cpus: int, options: str, expected: str
) -> None:
    """Slurm gives steps whole cores; here two steps may have a thread each of one."""
    assert _listed(decide_masks(_request(options, cpus)._replace(job_cpus=0x00FF)).masks) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n4 cores", "101 202 404 808"),
        ("-n4 threads", "1 2 100 200"),
        ("-n2 sockets", "5555 AAAA"),
        ("-n4 -mblock:block threads", "1 100 4 400"),
        ("-n2 rank", "1 2"),
    ],
)
def test_masks_have_the_kernels_numbers_where_these_are_in_another_order(options: str, expected: str) -> None:
    """Recorded on a machine whose CPU n and n+8 are threads of one core, and whose sockets take turns."""
    request = _request(options, topology=make_topology(2, 4, 2, is_interleaved=True))

    assert _listed(decide_masks(request).masks) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n4 -mblock:block:cyclic threads", "1 4 10 40"),
        ("-n6 -mblock:block:cyclic threads", "1 4 10 40 2 8"),
        ("-n4 -mblock:cyclic:cyclic threads", "1 100 4 400"),
        ("-n2 -c2 -mblock:block:cyclic threads", "3 C"),
        ("-n2 -c2 -mblock:block:fcyclic threads", "5 50"),
    ],
)
def test_the_third_word_of_a_distribution_deals_over_cores(options: str, expected: str) -> None:
    """As the manual has it; Slurm 22.05 takes the word and does nothing of it."""
    assert _listed(decide_masks(_request(options)).masks) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n3 ldoms", "FF FF00 FF"),
        ("-n3 rank_ldom", "FF FF00 FF"),
        ("-n3 map_ldom:1,0", "FF00 FF FF00"),
        ("-n2 mask_ldom:0x1,0x3", "FF FFFF"),
    ],
)
def test_numa_domains_are_bound_to_as_sockets_are(options: str, expected: str) -> None:
    assert _listed(decide_masks(_request(options)).masks) == expected


@pytest.mark.parametrize("options", ["-n4 map_cpu:0,4", "-n4 mask_cpu:0x3,0xf0", "-n2 map_cpu:17"])
def test_a_map_outside_of_the_step_is_refused(options: str) -> None:
    with pytest.raises(InvalidRequest, match=r"outside of job step allocation, allocated CPUs are: 0x000F\."):
        decide_masks(_request(options, 0x000F))


def test_a_numa_domain_that_the_step_has_nothing_of_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no CPUs in NUMA domain 1"):
        decide_masks(_request("-n1 map_ldom:1", 0x000F))


def test_the_configurations_words_count_where_the_step_says_nothing() -> None:
    assert _listed(decide_masks(_request("-n3")._replace(default_kind="cores")).masks) == "3 300 C"
    assert _listed(decide_masks(_request("-n3")._replace(auto_kind="threads")).masks) == "1 100 2"
    assert _listed(decide_masks(_request("-n8")._replace(auto_kind="threads")).masks).startswith("3 300")
    assert _listed(decide_masks(_request("-n3 threads")._replace(default_kind="cores")).masks) == "1 100 2"
    assert _listed(decide_masks(_request("-n8")._replace(default_kind="none")).masks) == " ".join(["FFFF"] * 8)


KINDS = ["", "none", "rank", "rank_ldom", *cpu_bind.DEALT_KINDS]
LEVELS = ["block", "cyclic", "fcyclic"]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    sockets, cores, threads = (draw(st.integers(1, high)) for high in (3, 4, 2))
    topology = make_topology(sockets, cores, threads, is_interleaved=draw(st.booleans()))
    cpus = draw(st.integers(1, topology.all_cpus))
    return Request(
        topology,
        cpus,
        draw(st.integers(1, 12)),
        draw(st.integers(1, 4)),
        CpuBind(draw(st.sampled_from(KINDS))),
        distribution.parse(f"block:{draw(st.sampled_from(LEVELS))}:{draw(st.sampled_from(LEVELS))}"),
        draw(st.sampled_from(["", "compute_bound", "nomultithread"])),
        draw(st.integers(0, 2)),
        draw(st.integers(0, 2)),
        draw(st.integers(0, 2)),
        job_cpus=cpus | draw(st.integers(0, topology.all_cpus)),
    )


@given(requests())
def test_every_mask_is_within_the_step_and_not_empty(request: Request) -> None:
    """masks(request) ⊆ cpus(request), one a task, none empty."""
    decided = decide_masks(request)

    assert not request.reach & ~(request.cpus | request.job_cpus)
    allowed = request.topology.kernel_mask(request.reach)
    assert len(decided.masks) == request.ntasks
    assert all(mask and not mask & ~allowed for mask in decided.masks)


@given(requests())
def test_tasks_that_are_bound_to_threads_share_none_while_there_are_enough(request: Request) -> None:
    request = request._replace(bind=CpuBind("threads"))
    decided = decide_masks(request)

    needed = request.ntasks * request.cpus_per_task
    if needed <= request.cpus.bit_count():
        assert sum(mask.bit_count() for mask in decided.masks) == needed
        union = 0
        for mask in decided.masks:
            assert not mask & union
            union |= mask


@given(requests())
def test_a_task_that_is_bound_to_cores_has_all_of_its_cores_that_the_step_has(request: Request) -> None:
    request = request._replace(bind=CpuBind("cores"))
    decided = decide_masks(request)

    for mask in decided.masks:
        cores = {place.core for place in request.topology.places if place.mask & mask}
        for number in cpuset.numbers(request.reach):
            place = request.topology.places[number]
            assert bool(place.mask & mask) == (place.core in cores)
