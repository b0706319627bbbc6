"""Who makes, changes and deletes reservations, and whose jobs they let in."""

import pytest

from sluice.errors import NotPermitted, RequestError
from tests.engine_builder import ANN, BOB, ROOT
from tests.reservation_builder import Site


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_only_operators_make_change_and_delete_them(action: str) -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    refusal = site.refused(action, "r2" if action == "create" else "r1", caller=ANN)

    assert isinstance(refusal, NotPermitted)
    assert site.keep("r3", caller=ROOT, nodes="n2").name == "r3"


def test_user_delete_lets_its_users_delete_it() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", flags="user_delete")

    assert isinstance(site.refused("delete", caller=BOB), NotPermitted)
    site.revise("delete", "r1", ANN)
    assert not site.kept


def test_the_site_may_let_users_delete_what_is_theirs() -> None:
    site = Site(nodes=1, slurmctld_parameters={"user_resv_delete": ""})
    site.keep(nodes="n1")

    site.revise("delete", "r1", ANN)

    assert not site.kept


def test_jobs_name_what_exists_and_lets_them_in() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    with pytest.raises(RequestError) as unknown:
        site.submit(ANN, reservation="r1,r9")
    with pytest.raises(RequestError) as foreign:
        site.submit(BOB, reservation="r1")

    assert (unknown.value.code, foreign.value.code) == ("reservation", "reservation_access")
    assert unknown.value.message == "no reservation is called 'r9'; known are r1"
    assert foreign.value.message == "reservation 'r1': it is for the users ann, not 'bob'"


def test_groups_let_their_members_in() -> None:
    site = Site(nodes=1)
    site.revise(
        "create",
        "r1",
        groups="bio",
        starttime="now",
        duration="60",
        nodes="n1",
        members={"bio": ("ann",)},  # type: ignore[arg-type]
    )

    assert site.kept["r1"].members == ("ann",)
    assert site.job(site.start(ANN, reservation="r1", limit_s=600)).reservation == "r1"
    assert site.submit(BOB, reservation="r1", groups=("bio",))
    with pytest.raises(RequestError, match="for the groups bio"):
        site.submit(BOB, reservation="r1")


def test_a_partition_that_wants_reservations_takes_no_other_jobs() -> None:
    site = Site(nodes=2)
    site.add_partition("kept", requires_reservation=True)
    site.keep(nodes="n1")

    with pytest.raises(RequestError, match="ReqResv"):
        site.submit(partitions=("kept",))
    assert site.submit(partitions=("kept",), reservation="r1")
