"""The whole controller but its shell, under faults by dice: nothing is lost, nothing happens twice, all comes back."""

import pytest

from tests.simulated_cluster import Simulation


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_job_ends_once_and_gives_everything_back(seed: int) -> None:
    simulation = Simulation(seed)
    try:
        simulation.run(events=250)
    except Exception:
        print(f"seed {seed}, after:", *simulation.story[-30:], sep="\n  ")
        raise
