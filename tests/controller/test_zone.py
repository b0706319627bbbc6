"""The name of this machine's time zone, by which reservations repeat."""

from datetime import datetime
from pathlib import Path

import pytest

from sluicectld.scheduler.recurrence import find_zone
from sluicectld.zone import find_local_zone


def test_the_variable_counts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":America/New_York")

    assert find_local_zone() == "America/New_York"


def test_else_the_link_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    zone = tmp_path / "zoneinfo" / "Europe" / "Berlin"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (tmp_path / "localtime").symlink_to(zone)

    assert find_local_zone(str(tmp_path / "localtime")) == "Europe/Berlin"


def test_a_zone_without_a_name_is_its_offset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").touch()

    name = find_local_zone(str(tmp_path / "localtime"))

    assert name.startswith("UTC")
    here = datetime.now().astimezone().utcoffset()
    assert find_zone(name).utcoffset(None) == here
