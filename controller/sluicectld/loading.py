"""From the tables to a cluster in memory."""

from msgspec.structs import replace

from sluice.config.settings import Settings
from sluicectld.policy import is_predicting
from sluicectld.scheduler.predict import FinishedRun, is_telling
from sluicectld.state.cluster import Cluster
from sluicectld.state.runs import PastRun
from sluicectld.store.database import open_engine
from sluicectld.store.load import load
from sluicectld.store.read import read_jobs
from sluicectld.store.runs import read_last_runs
from sluicectld.store.tokens import forget_tokens

#: A repeated submission is recognised for this long.
TOKEN_AGE_S = 3 * 86400.0
#: Runs of a user that are read, of which predictions go by the last ones of each limit.
_USER_RUNS_MAX = 64


def load_cluster(settings: Settings, now_at: float) -> Cluster:
    """Return the state as it was last committed.  Raises StorageError."""
    engine = open_engine(settings.database_url)
    try:
        forget_tokens(engine, now_at - TOKEN_AGE_S)
    finally:
        engine.dispose()
    loaded = load(
        settings.database_url,
        ended_after_at=now_at - settings.min_job_age_s,
        tokens_after_at=now_at - TOKEN_AGE_S,
    )
    cluster = Cluster()
    for node in sorted(loaded.nodes.values(), key=lambda node: node.index):
        cluster.load_node(node)
    for partition in sorted(loaded.partitions.values(), key=lambda partition: partition.index):
        cluster.partitions[partition.name] = partition
    cluster.reservations = loaded.reservations
    specs = {spec_id: cluster.sharing.share(spec) for spec_id, spec in loaded.specs.items()}
    for job in sorted(loaded.jobs.values(), key=lambda job: job.id):
        cluster.load_job(replace(job, spec=specs[job.spec_id]))
    _load_awaited(settings.database_url, cluster)
    if is_predicting(settings):
        _load_runs(settings.database_url, cluster)
    for step in loaded.steps.values():
        cluster.hold_step(step)
    cluster.tokens = loaded.tokens
    cluster.next_sequence = loaded.next_sequence
    cluster.next_spec_id = max(cluster.next_spec_id, loaded.next_spec_id)
    cluster.next_job_id = max(settings.first_job_id, loaded.next_job_id, int(loaded.meta.get("next_job_id", "1")))
    cluster.next_reservation_id = int(loaded.meta.get("next_reservation_id", "1"))
    cluster.epoch = int(loaded.meta.get("epoch", "0"))
    cluster.cluster_id = loaded.meta.get("cluster_id", "")
    cluster.config_version = int(loaded.meta.get("config_version", "0"))
    cluster.config_digest = loaded.meta.get("config_digest", "")
    return cluster


def _load_runs(database_url: str, cluster: Cluster) -> None:
    """Predict from everything that has run, not only from what ended lately."""
    engine = open_engine(database_url, is_read_only=True)
    try:
        stored = read_last_runs(engine, _USER_RUNS_MAX)
    finally:
        engine.dispose()
    past = [
        PastRun(each.ended_at, each.uid, FinishedRun(each.limit_s, max(0.0, each.run_s)))
        for each in stored
        if is_telling(each.state)
    ]
    cluster.run_book.recall(past, cluster.jobs.values())


def _load_awaited(database_url: str, cluster: Cluster) -> None:
    """Take ended jobs that others wait for into memory, and all of an array: a dependency asks for every task."""
    awaited = {job_id for job_id in cluster.dependents if job_id and cluster.outcome(job_id) is None}
    arrays = {array_id for array_id in cluster.tallies if _may_lack_tasks(cluster, array_id)}
    if not awaited | arrays:
        return
    engine = open_engine(database_url, is_read_only=True)
    try:
        for job_id in sorted(awaited | arrays):
            for job in read_jobs(engine, job_id):
                if job.id not in cluster.jobs:
                    cluster.load_job(job)
    finally:
        engine.dispose()


def _may_lack_tasks(cluster: Cluster, array_id: int) -> bool:
    base = cluster.jobs.get(array_id)
    if base is not None and base.pending_array is not None and base.pending_array.ranges == base.spec.array:
        return False
    tally = cluster.tallies[array_id]
    return tally.ended < tally.records or array_id in cluster.dependents
