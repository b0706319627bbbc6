"""What the agent makes of a machine's NVIDIA GPUs, beside what the driver's own tool says; for a machine that has one.

    python -m bench.gpu_machine               inventory and fence, which need nvidia-ml-py and msgspec alone
    python -m bench.gpu_machine --cluster     also a cluster of this machine whose jobs look at their GPUs and use them

Exit status 1: something differs, or there is no GPU.  The output is made to be kept in docs/.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys

from sluice.config.node_setup import NodeSetup
from sluice.config.records import GresLine
from sluiced.binding.topology import count_levels, machine
from sluiced.gpu.device import Device
from sluiced.gpu.fence import compute_fence
from sluiced.gpu.measure import measure_units
from sluiced.gpu.nvml import read_nvml

_QUERY = ("index", "uuid", "name", "memory.total", "mig.mode.current")
_MEMORY_SLACK_MIB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--cluster", action="store_true", help="run jobs too; the commands must be installed")
    options = parser.parse_args()
    cpus = machine()
    sockets, cores, threads = count_levels(cpus)
    print(f"machine: {sockets} sockets x {cores} cores x {threads} threads")
    found = read_nvml(1 + max(cpu.number for cpu in cpus))
    if not found.devices:
        sys.exit(f"gpu_machine: no GPU: {found.problem}")
    problems = [*_show_devices(found.devices), *_compare_with_tool(found.devices), *_check_units(len(found.devices))]
    if options.cluster:
        from bench.gpu_jobs import run_jobs

        problems += run_jobs(found.devices)
    for problem in problems:
        print(f"DIFFERS: {problem}")
    sys.exit(1 if problems else 0)


def _show_devices(devices: tuple[Device, ...]) -> list[str]:
    """Print the inventory; return what of it is not on the machine."""
    for device in devices:
        links = ",".join(map(str, device.links)) or "none"
        print(
            f"GPU {device.ordinal}: {device.type} {device.uuid}, {device.memory_mib} MiB, {device.ailment or 'healthy'}"
        )
        print(f"GPU {device.ordinal}: cpus {device.cpus or 'unknown'}, links {links}, files {' '.join(device.files)}")
    return [f"{path} does not exist" for device in devices for path in device.files if not os.path.exists(path)]


def _compare_with_tool(devices: tuple[Device, ...]) -> list[str]:
    """Return what nvidia-smi says otherwise."""
    if shutil.which("nvidia-smi") is None:
        print("nvidia-smi: not installed, nothing to compare with")
        return []
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print(text.rstrip())
    rows = [[word.strip() for word in row] for row in csv.reader(text.splitlines())]
    whole = {device.uuid: device for device in devices if not device.is_mig}
    problems = []
    for index, uuid, name, memory, mig in rows:
        device = whole.get(uuid)
        if mig == "Enabled":
            continue
        if device is None:
            problems.append(f"{uuid} ({name}) was not found")
        elif device.ordinal != int(index) or abs(device.memory_mib - int(memory)) > _MEMORY_SLACK_MIB:
            problems.append(f"{uuid}: index {index}, {memory} MiB; found {device.ordinal}, {device.memory_mib} MiB")
    return problems


def _check_units(count: int) -> list[str]:
    """Print the units and fences of a node that lets its GPUs be found; return what is missing."""
    setup = NodeSetup(cpus=len(machine()), gres=(("gpu", "", count),), gres_lines=(GresLine(auto_detect="nvml"),))
    measured = measure_units(setup)
    for unit in measured.devices.units:
        fence = compute_fence(measured.devices, [unit])
        there = [path for path in fence.allowed if os.path.exists(path)]
        print(f"gpu:{unit.number}: cores {unit.cores or 'all'}; may open {' '.join(there)}")
        print(f"gpu:{unit.number}: may not open {' '.join(fence.withheld) or 'nothing'}")
    return list(measured.problems)


if __name__ == "__main__":
    main()
