"""Licenses are counted: all that a job asks for, or any one of several."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.model.partition import Partition
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.limits.licenses import LicensePool
from sluicectld.scheduler.needs import Needs, compute_needs
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster, make_spec


def needs_of(licenses: str) -> Needs:
    return compute_needs(make_spec(licenses=licenses), Partition(name="batch"), Policy())


def test_all_of_several_must_be_free() -> None:
    blocker = LicensePool({"matlab": 2, "ansys": 0}).find_blocker(needs_of("matlab:1,ansys:1"))

    assert blocker is not None
    assert blocker.text == "needs 1 of license ansys, 0 free"


def test_any_one_of_several_is_enough_and_the_first_that_is_free_is_taken() -> None:
    cluster = Cluster(nodes=4).licenses(matlab=1, octave=1)
    jobs = [cluster.pending(licenses="matlab|octave") for _ in range(3)]

    plan = decide(cluster.snapshot())

    assert [start.allocation.licenses for start in plan.starts] == [(("matlab", 1),), (("octave", 1),)]
    assert plan.blockers[jobs[2].id][0].text == ("needs 1 of license matlab, 0 free; or 1 of license octave, 0 free")


def test_licenses_that_are_configured_no_more_keep_jobs_waiting() -> None:
    blocker = LicensePool({"matlab": -2}).find_blocker(needs_of("matlab"))

    assert blocker is not None
    assert blocker.text == "needs 1 of license matlab, 0 free"


names = st.sampled_from(["a", "b", "c"])
requests = st.lists(st.tuples(names, st.integers(1, 3)), min_size=1, max_size=3, unique_by=lambda term: term[0])


@given(st.dictionaries(names, st.integers(0, 6)), st.lists(st.tuples(requests, st.sampled_from(",|")), max_size=8))
def test_what_is_taken_was_free_and_what_is_refused_was_not(free, asked) -> None:
    pool = LicensePool(free)
    for terms, sign in asked:
        needs = needs_of(sign.join(f"{name}:{count}" for name, count in terms))
        has = [pool.free.get(name, 0) >= count for name, count in terms]

        if pool.find_blocker(needs) is None:
            taken = pool.choose(needs)
            assert taken is not None
            pool.take(taken)
            assert set(taken) <= set(terms)
            assert len(taken) == (len(terms) if sign == "," or len(terms) == 1 else 1)
        else:
            assert not (any(has) if sign == "|" else all(has))
        assert all(count >= 0 for count in pool.free.values())
