"""tools/demo.sh: what it prints where nobody looks at a terminal."""

import subprocess
from pathlib import Path

DEMO = Path(__file__).parent.parent / "tools" / "demo.sh"


def test_a_file_gets_headings_without_colours(tmp_path: Path) -> None:
    """Without a program to bring the cluster up it gets no further than that."""
    done = subprocess.run(["/bin/bash", str(DEMO)], cwd=tmp_path, env={"PATH": "/bin:/usr/bin"}, capture_output=True)

    assert done.returncode != 0
    assert done.stdout.decode().startswith("\n# Bring up a cluster of three nodes on this machine\n")
    assert b"\x1b" not in done.stdout
