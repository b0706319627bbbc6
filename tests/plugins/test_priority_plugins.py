"""Priority plugins: the contract, and how the registry puts a rule together."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from sluice.errors import PluginError
from sluice.model.job import Job
from sluice.model.priority import Asked, Candidates, PriorityContext, PrioritySetup, PriorityTables, Standing
from sluice_plugins import registry
from sluice_plugins.interfaces import PriorityFactor
from sluice_plugins.priority.multifactor import Multifactor
from sluice_plugins.registry import prepare_priority
from sluice_plugins.testing import PRIORITY_CANDIDATES, PRIORITY_CONTEXT, check_priority_factor, check_priority_plugin

BARE = replace(PRIORITY_CONTEXT, tables=PriorityTables())
FACTORS = ("age", "assoc", "fairshare", "jobsize", "partition", "qos", "site")


@pytest.mark.parametrize("name", FACTORS)
def test_the_built_in_factors_keep_the_contract(name: str) -> None:
    check_priority_factor(registry.find("priority_factor", name))


@pytest.mark.parametrize("name", ["basic", "multifactor"])
def test_the_built_in_plugins_keep_the_contract(name: str) -> None:
    check_priority_plugin(registry.find("priority", name))


def test_the_contract_catches_a_factor_that_depends_on_the_company() -> None:
    class Place:
        def compute_of_jobs(self, jobs: Sequence[Job], context: PriorityContext) -> list[float]:
            return [float(place) for place, _ in enumerate(jobs)]

    with pytest.raises(AssertionError, match="depends on the other jobs"):
        check_priority_factor(Place())


def test_the_contract_catches_a_factor_that_changes_its_mind() -> None:
    class Fickle:
        asked_before = 0

        def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
            self.asked_before += 1
            return 1.0 / self.asked_before

    with pytest.raises(AssertionError, match="two answers"):
        check_priority_factor(Fickle())


class Owner:
    """A site's factor: those who own the partition go first."""

    def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
        return 1.0 if standing.account == "physics" else 0.0


class Wide:
    """Another one, of the size."""

    def compute_of_asked(self, asked: Asked, context: PriorityContext) -> float:
        return float(asked.nodes > 1)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two plugins of the site beside the built-in ones."""
    built_in = registry.find
    own: dict[str, PriorityFactor] = {"owner": Owner(), "wide": Wide()}
    monkeypatch.setattr(registry, "find", lambda kind, name: own.get(name) or built_in(kind, name))


@pytest.mark.usefixtures("installed")
def test_a_site_weighs_factors_of_its_own() -> None:
    rule = prepare_priority(PrioritySetup(weights={"owner": 100, "wide": 5}))

    assert rule.compute(PRIORITY_CANDIDATES, BARE) == [100.0, 5.0, 0.0]


@pytest.mark.usefixtures("installed")
def test_the_sites_factor_is_added_as_it_is_and_shown_as_such() -> None:
    rule = prepare_priority(PrioritySetup(site_factor="owner"))

    assert rule.compute(PRIORITY_CANDIDATES, BARE) == [1.0, 0.0, 0.0]
    assert [each.site for each in rule.explain(PRIORITY_CANDIDATES, BARE)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        (PrioritySetup(type="oracle"), "no priority plugin is called 'oracle': basic, multifactor"),
        (PrioritySetup(weights={"astrology": 1}), "no priority_factor plugin is called 'astrology': age, assoc"),
    ],
)
def test_what_is_not_installed_is_told_with_what_is(setup: PrioritySetup, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        prepare_priority(setup)


def test_what_candidates_share_is_computed_once() -> None:
    class Counting:
        asked = 0

        def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
            self.asked += 1
            return 1.0

    factor = Counting()
    rule = Multifactor().prepare(PrioritySetup(weights={"count": 1}), {"count": factor})
    first = PRIORITY_CANDIDATES
    many = Candidates(jobs=[first.jobs[0]] * 1000, standings=[first.standings[0]] * 1000, asked=[first.asked[0]] * 1000)

    rule.compute(many, PRIORITY_CONTEXT)

    assert factor.asked == 1
