"""`python -m sluicectld.verify -f CONF`: rebuild the tables from the journal and compare; exit 1 where they differ."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import click

from sluice.config.load import load
from sluice.errors import SluiceError
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.reservation import Reservation
from sluice.model.step import Step
from sluice.standard_streams import run_printing
from sluicectld.state import events
from sluicectld.state.apply import apply
from sluicectld.state.cluster import Cluster
from sluicectld.store import schema
from sluicectld.store.batch import StepKey, StoredEvent
from sluicectld.store.database import name_of, open_engine
from sluicectld.store.verify import DIFFERENCES_MAX, verify


@click.command()
@click.option("-f", "path", required=True, metavar="FILE", help="Configuration file.")
def main(path: str) -> None:
    """Compare the tables with the journal."""
    try:
        differences = _compare(path)
    except SluiceError as error:
        print(f"sluice: error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(1 if differences else 0)


@dataclass
class Rebuilt:
    """What the journal says, nothing forgotten: steps of earlier attempts and ended jobs included."""

    jobs: dict[int, Job]
    steps: dict[StepKey, Step]
    nodes: dict[str, Node]
    partitions: dict[str, Partition]
    reservations: dict[str, Reservation]


def rebuild(stored: Iterable[StoredEvent]) -> Rebuilt:
    """Return what the replay of *stored*, the whole journal, comes to."""
    cluster = Cluster()
    steps: dict[StepKey, Step] = {}
    for row in stored:
        apply(cluster, events.decode(row.payload))
        steps |= cluster.take_batch().steps
    return Rebuilt(cluster.jobs, steps, cluster.nodes, cluster.partitions, cluster.reservations)


def _compare(path: str) -> list[str]:
    url = load(path).settings.database_url
    schema.check(url)
    engine = open_engine(url, is_read_only=True)
    differences = verify(engine, rebuild)
    for difference in differences:
        print(difference)
    more = " or more" if len(differences) == DIFFERENCES_MAX else ""
    verdict = f"{len(differences)}{more} differences" if differences else "tables and journal agree"
    print(f"database {name_of(engine.url)}: {verdict}")
    return differences


if __name__ == "__main__":
    run_printing("sluice", main)
