"""AMD's and Intel's GPUs from a made-up /sys."""

from __future__ import annotations

from pathlib import Path

from sluiced.gpu.drm import read_drm


def _write(sys: Path, node: int, **files: str) -> None:
    device = sys / "class" / "drm" / f"renderD{node}" / "device"
    (device / "drm" / f"card{node - 128}").mkdir(parents=True)
    for name, text in files.items():
        (device / name).write_text(text + "\n")


def test_only_the_vendors_own_gpus_are_found(tmp_path: Path) -> None:
    _write(tmp_path, 128, vendor="0x8086", device="0x56c0")
    _write(tmp_path, 129, vendor="0x1002", product_name="AMD Instinct MI250X", local_cpulist="0-15", unique_id="ab12")
    _write(tmp_path, 130, vendor="0x1002", device="0x740c", mem_info_vram_total=str(64 << 30))

    found = read_drm("amd", str(tmp_path))

    assert [(device.type, device.ordinal, device.cpus) for device in found.devices] == [
        ("amd_instinct_mi250x", 0, "0-15"),
        ("amd_740c", 1, ""),
    ]
    assert found.devices[0].files == ("/dev/dri/renderD129", "/dev/dri/card1")
    assert found.devices[1].memory_mib == 65536
    assert [device.type for device in read_drm("intel", str(tmp_path)).devices] == ["intel_56c0"]


def test_a_machine_without_gpus_says_so(tmp_path: Path) -> None:
    assert read_drm("amd", str(tmp_path)).problem == f"amd: the kernel shows no GPUs in {tmp_path}/class/drm"
