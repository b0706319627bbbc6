"""Helpers for heterogeneous jobs in an engine, by default one of two components on three nodes."""

from sluice.model.states import JobState

PENDING, RUNNING, CANCELLED = JobState.PENDING, JobState.RUNNING, JobState.CANCELLED


def states(world, leader_id):
    return [job.state for job in world.cluster.components_of(world.job(leader_id))]


def start(world, *components, **shared):
    leader_id = world.submit_het(*(components or ({"nodes": 1}, {"nodes": 2})), **shared)
    world.pass_()
    assert set(states(world, leader_id)) == {RUNNING}
    return leader_id


def finish(world, leader_id):
    for job in world.cluster.components_of(world.job(leader_id)):
        world.clean(job.id)
