"""A page whose commands are run anew: what they print is put in, everything else stays."""

import subprocess
import sys
from pathlib import Path

import pytest

_TOOL = Path(__file__).parents[1] / "tools" / "record_page.py"
_PAGE = """# A page

```
$ not run: there is no cluster yet
```

<!-- cluster small
NodeName=n[1-2] CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES
-->
<!-- run
scontrol update NodeName=n2 State=DRAIN Reason=fan
-->

Text.

```
$ sinfo -h -o '%N %T'
stale
stale
$ false; echo told >&2
```

```
a block without commands
```
"""
_RECORDED = _PAGE.replace("stale\nstale\n", "n2 drained\nn1 idle\n").replace(">&2\n", ">&2\ntold\n")


@pytest.mark.system
def test_what_commands_print_is_put_in_and_everything_else_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(_PAGE)

    subprocess.run([sys.executable, _TOOL, page], check=True, timeout=120)

    assert page.read_text() == _RECORDED


@pytest.mark.system
def test_a_hidden_command_that_fails_leaves_the_page_as_it_was(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(_PAGE.replace("NodeName=n2 State", "NodeName=n9 State"))

    done = subprocess.run([sys.executable, _TOOL, page], capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 1
    assert "scontrol update NodeName=n9" in done.stderr
    assert "stale" in page.read_text()
