"""The installed program: `sluiced`."""

from __future__ import annotations

from sluice.start import run_main


def main() -> int | None:
    """Run the daemon; return its exit status."""
    return run_main("sluiced.__main__")
