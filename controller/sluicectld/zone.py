"""The zone of this machine's clock, by a name that another process can use: reservations repeat by its calendar."""

import os
import time

_ZONES = "/zoneinfo/"


def find_local_zone(localtime_path: str = "/etc/localtime") -> str:
    """Return "Europe/Berlin", or "UTC+01:00" where the zone has no name."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        target = os.path.realpath(localtime_path)
        _, _, name = target.partition(_ZONES)
    if name and not name.startswith("/"):
        return name
    offset_m = time.localtime().tm_gmtoff // 60
    sign = "-" if offset_m < 0 else "+"
    return f"UTC{sign}{abs(offset_m) // 60:02}:{abs(offset_m) % 60:02}"
