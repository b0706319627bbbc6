"""A folder with a small valid configuration that tests add their lines to."""

from pathlib import Path

import pytest

HEAD = "ClusterName=anchor\nSlurmctldHost=head(10.0.0.1)\nGresTypes=gpu,nic\n"
NODES = "NodeName=n[1-4] CPUs=8 RealMemory=16000\n"
PARTITIONS = "PartitionName=batch Nodes=ALL Default=YES\n"


class ConfigFolder:
    """Writes sluice.conf (and files beside it) and gives its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, *, settings: str = "", nodes: str = NODES, partitions: str = PARTITIONS, head: str = HEAD) -> Path:
        return self.file("sluice.conf", head + settings + "\n" + nodes + "\n" + partitions)

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def folder(tmp_path: Path) -> ConfigFolder:
    return ConfigFolder(tmp_path)
