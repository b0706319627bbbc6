"""May a job name these reservations?  Asked when it is submitted and when it is changed."""

from sluice.errors import InvalidRequest, NotPermitted
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluicectld.scheduler.reservation_access import find_denial, may_use
from sluicectld.state.cluster import Cluster

_SHOWN_MAX = 8


def check_reservations(cluster: Cluster, spec: JobSpec, groups: tuple[str, ...]) -> None:
    """Raise RequestError unless every reservation that the job names exists and lets it in.  groups: its user's."""
    for name in spec.reservation.split(",") if spec.reservation else ():
        reservation = cluster.reservations.get(name)
        if reservation is None:
            names = list(cluster.reservations)
            known = f"; known are {', '.join(names[:_SHOWN_MAX])}" if names else ""
            raise InvalidRequest(f"no reservation is called {name!r}{known}", "reservation")
        denial = find_denial(reservation, spec, groups)
        if denial is not None:
            raise NotPermitted(f"reservation {name!r}: {denial}", "reservation_access")


def check_reservation_is_named(cluster: Cluster, partition: Partition, spec: JobSpec) -> None:
    """Raise InvalidRequest for a job without a reservation in a partition that runs no others (ReqResv)."""
    if not partition.requires_reservation or spec.reservation:
        return
    if any(each.has("MAGNETIC") and may_use(each, spec) for each in cluster.reservations.values()):
        return
    raise InvalidRequest(
        f"partition {partition.name!r} runs only jobs in reservations (ReqResv); name one with --reservation",
        "reservation",
    )
