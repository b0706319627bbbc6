"""NVIDIA's GPUs from a made-up /proc/driver/nvidia."""

from __future__ import annotations

from pathlib import Path

from sluiced.gpu.nvidia_proc import read_proc


def _write(root: Path, bus: str, minor: int, *, excluded: str = "No") -> None:
    folder = root / "proc" / "driver" / "nvidia" / "gpus" / bus
    folder.mkdir(parents=True)
    (folder / "information").write_text(
        "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 33\n"
        f"GPU UUID: \t GPU-{minor}\nBus Location: \t {bus}\nDevice Minor: \t {minor}\nGPU Excluded:\t {excluded}\n"
    )
    device = root / "sys" / "bus" / "pci" / "devices" / bus
    device.mkdir(parents=True)
    (device / "local_cpulist").write_text("0-15\n")


def _read(root: Path) -> list[tuple[int, str, str, str]]:
    found = read_proc(str(root / "proc"), str(root / "sys"))
    return [(device.ordinal, device.uuid, device.files[0], device.cpus) for device in found.devices]


def test_gpus_come_in_the_order_of_their_buses(tmp_path: Path) -> None:
    _write(tmp_path, "0000:48:00.0", 0)
    _write(tmp_path, "0000:07:00.0", 1)

    assert _read(tmp_path) == [(0, "GPU-1", "/dev/nvidia1", "0-15"), (1, "GPU-0", "/dev/nvidia0", "0-15")]
    assert read_proc(str(tmp_path / "proc")).devices[0].type == "nvidia_a100-sxm4-40gb"


def test_a_gpu_that_the_driver_leaves_out_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path, "0000:07:00.0", 0, excluded="Yes")
    _write(tmp_path, "0000:48:00.0", 1)

    assert [uuid for _, uuid, _, _ in _read(tmp_path)] == ["GPU-1"]


def test_a_machine_without_the_driver_says_so(tmp_path: Path) -> None:
    assert read_proc(str(tmp_path)).problem == (
        f"nvidia: the driver is not loaded: there is no {tmp_path}/driver/nvidia/gpus"
    )
