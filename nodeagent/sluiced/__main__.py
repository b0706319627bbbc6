"""python -m sluiced: the node agent."""

from __future__ import annotations

import sys

from sluiced.daemon import main as run_daemon


def main() -> int:
    return run_daemon(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
