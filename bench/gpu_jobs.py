"""What jobs on a machine with NVIDIA GPUs see of them: each look is a command, and what must be true of what it said.

Needs a machine with a GPU and the commands of this installation; `bench.gpu_machine --cluster` runs it.  With PyTorch
in this Python, GPUs are used as well as looked at.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from subprocess import CompletedProcess
from typing import NamedTuple

from sluice import size
from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup.detect import fences_devices, unenforced
from sluiced.gpu.device import Device

_SHARDS_PER_GPU = 4
#: PyTorch with CUDA takes several GiB.
_MIB_PER_CPU = 8000
_ALLREDUCE = """
import os, torch, torch.distributed as dist
dist.init_process_group("nccl")
torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
numbers = torch.full((1 << 20,), float(dist.get_rank() + 1), device="cuda")
dist.all_reduce(numbers)
print(f"rank {dist.get_rank()} of {dist.get_world_size()} on {torch.cuda.get_device_name()}: NCCL "
      f"{'.'.join(map(str, torch.cuda.nccl.version()))}, sum {numbers[0].item():g}", flush=True)
dist.destroy_process_group()
"""
_HOLD = """
import time, torch
held = torch.ones(1 << 28, device="cuda")
torch.cuda.synchronize()
open("holds", "w").close()
time.sleep(600)
"""
#: Takes 2 GiB of a GPU's memory and keeps it busy for some seconds.
_MULTIPLY = """
import os, time, torch
held = torch.ones(1 << 29, device="cuda")
matrix = torch.ones(4096, 4096, device="cuda")
ends_at = time.monotonic() + 8
while time.monotonic() < ends_at:
    for _ in range(20):
        matrix = (matrix @ matrix) / 4096
    torch.cuda.synchronize()
print(os.environ["SLURM_JOB_ID"])
"""
_HELD_MIB = 2048

Ran = CompletedProcess[str]


class Look(NamedTuple):
    """what: in words.  is_right: of the finished command."""

    what: str
    command: tuple[str, ...]
    is_right: Callable[[Ran], bool]


def run_jobs(devices: Sequence[Device]) -> list[str]:
    """Run jobs with and without GPUs and print what they saw; return what they saw that they should not."""
    count = len(devices)
    kind = devices[0].type.removeprefix("nvidia_").partition("_")[0]
    settings = {
        "GresTypes": "gpu,shard",
        "NodeName": f"DEFAULT Gres=gpu:{kind}:{count},shard:{count * _SHARDS_PER_GPU}",
    }
    files = {"gres.conf": "AutoDetect=nvml\n", "cgroup.conf": "ConstrainDevices=yes\n"}
    is_fenced = fences_devices(CgroupSettings(constrain_devices=True))
    print(f"fence: {'by cgroups' if is_fenced else unenforced(CgroupSettings(constrain_devices=True))}")
    problems = []
    cpus = max(8, 2 * count)
    with LocalCluster(nodes=1, cpus=cpus, memory_mib=cpus * _MIB_PER_CPU, settings=settings, files=files) as cluster:
        for look in _looks(devices, kind, is_fenced):
            ran = cluster.run(*look.command, check=False, limit_s=120)
            said = (ran.stdout + ran.stderr).strip()
            print(f"\n$ {_shown(look.command)}\n{said}")
            if not look.is_right(ran):
                problems.append(f"{look.what}: exit status {ran.returncode}")
        problems += _hold_and_wait(cluster) if _has_torch() else []
        problems += _use_gpu(cluster) if _has_torch() else []
    return problems


def _looks(devices: Sequence[Device], kind: str, is_fenced: bool) -> list[Look]:
    count, files = len(devices), [device.files[0] for device in devices]
    opener = ("sh", "-c", "; ".join(f"(: <>{file}) 2>/dev/null && echo {file}" for file in files) + "; true")
    uuids = [device.uuid for device in devices]
    looks = [
        Look(
            "the node has its GPUs", ("sinfo", "-h", "-o", "%n %T %G"), lambda ran: f"gpu:{kind}:{count}" in ran.stdout
        ),
        Look(
            "a job that asks for all GPUs opens all",
            ("srun", f"--gres=gpu:{kind}:{count}", *opener),
            lambda ran: ran.stdout.split() == files,
        ),
        Look(
            "the driver's tool shows a job its GPU alone",
            ("srun", "--gres=gpu:1", "nvidia-smi", "-L"),
            lambda ran: [uuid in ran.stdout for uuid in uuids].count(True) == (1 if is_fenced else count),
        ),
        Look(
            "a job has the variables of its GPU",
            (
                "srun",
                "--gpus=1",
                "sh",
                "-c",
                "echo $CUDA_VISIBLE_DEVICES $SLURM_JOB_GPUS $SLURM_STEP_GPUS",
            ),
            lambda ran: ran.stdout.split() == ["0"] * 3,
        ),
        Look(
            "a job without GPUs has no variable",
            ("srun", "sh", "-c", "echo ${CUDA_VISIBLE_DEVICES-unset}"),
            lambda ran: ran.stdout == "unset\n",
        ),
        Look(
            "the binding table",
            ("srun", "-v", f"-n{count}", "--gpus-per-task=1", "true"),
            lambda ran: "task" in ran.stderr,
        ),
        Look(
            "a shard opens its GPU",
            ("srun", "--gres=shard:1", *opener),
            lambda ran: len(ran.stdout.split()) == (1 if is_fenced else count),
        ),
        Look(
            "a type that no node has is refused",
            ("srun", "--gres=gpu:no_such_type:1", "true"),
            lambda ran: ran.returncode != 0 and kind in ran.stderr,
        ),
        Look(
            "the account has the GPUs",
            ("sacct", "-X", "-P", "-o", "JobID,AllocTRES,State"),
            lambda ran: f"gres/gpu={count}" in ran.stdout,
        ),
    ]
    if is_fenced:
        looks += [
            Look("a job without GPUs opens none", ("srun", *opener), lambda ran: ran.stdout == ""),
            Look(
                "the driver's tool shows a job without GPUs none",
                ("srun", "nvidia-smi", "-L"),
                lambda ran: not any(uuid in ran.stdout for uuid in uuids),
            ),
        ]
    return looks + (_torch_looks(count, is_fenced) if _has_torch() else [])


def _torch_looks(count: int, is_fenced: bool) -> list[Look]:
    counter = (sys.executable, "-c", "import torch; print(torch.cuda.device_count(), torch.cuda.is_available())")
    looks = [
        Look(
            "PyTorch counts a job's GPUs",
            ("srun", "--gres=gpu:1", *counter),
            lambda ran: ran.stdout.strip() == "1 True",
        ),
        Look(
            "torchrun's workers add up over NCCL",
            ("srun", "-n1", f"--gres=gpu:{count}", "--launch=torchrun", "-c", "2", sys.executable, "-c", _ALLREDUCE),
            lambda ran: f"sum {count * (count + 1) // 2}" in ran.stdout,
        ),
        Look(
            "tasks with the launcher's variables add up over NCCL",
            ("srun", f"-n{count}", f"--gpus-per-node={count}", "--launch=env", sys.executable, "-c", _ALLREDUCE),
            lambda ran: f"sum {count * (count + 1) // 2}" in ran.stdout,
        ),
    ]
    none = Look(
        "PyTorch finds no GPU in a job without", ("srun", *counter), lambda ran: ran.stdout.strip() == "0 False"
    )
    return [*looks, none] if is_fenced else looks


def _hold_and_wait(cluster: LocalCluster) -> list[str]:
    """Hold every GPU with a job, ask for one more, cancel the first; return what went otherwise than it should."""
    every = cluster.run("sinfo", "-h", "-o", "%G").stdout.partition(",")[0].partition("(")[0].rpartition(":")[2].strip()
    holder = cluster.submit(f"--gres=gpu:{every}", "--wrap", f"exec {sys.executable} -c '{_HOLD}'")
    cluster.wait_until(
        lambda: cluster.run("sh", "-c", "test -e holds", check=False).returncode == 0, "the job holds memory of its GPU"
    )
    waiting = cluster.submit("--gres=gpu:1", "--wrap", "nvidia-smi -L")
    cluster.wait_until(
        lambda: "Resources" in cluster.run("squeue", "-h", "-o", "%r", "-j", str(waiting)).stdout,
        "the second job waits",
    )
    print("\n" + cluster.run("squeue", "-o", "%i %T %b %r").stdout.rstrip())
    print(_processes("while it runs"))
    cluster.run("scancel", str(holder))
    cluster.wait_jobs_ended()
    left = _processes("after its end")
    print(left)
    ended = cluster.run("sacct", "-X", "-P", "-n", "-o", "JobID,State", "-j", f"{holder},{waiting}").stdout
    print(ended.rstrip())
    problems = [] if left.endswith("none") else ["processes of a cancelled job are left on its GPU"]
    return (
        problems if f"{waiting}|COMPLETED" in ended else [*problems, "the job that waited for a GPU did not complete"]
    )


def _use_gpu(cluster: LocalCluster) -> list[str]:
    """Keep a GPU busy and print what its account has of that; return what it lacks."""
    ran = cluster.run("srun", "--gres=gpu:1", "-c", "2", sys.executable, "-c", _MULTIPLY, check=False, limit_s=120)
    if ran.returncode:
        return [f"a job that keeps a GPU busy: exit status {ran.returncode}: {ran.stderr.strip()}"]
    cluster.wait_jobs_ended()
    command = ("sacct", "-P", "-j", ran.stdout.split()[-1], "-o")
    fields = "JobID,AllocTRES,TRESUsageInMax,TRESUsageInAve,TRESUsageInTot"
    print(f"\n$ {_shown(command)} {fields}\n{cluster.run(*command, fields).stdout.rstrip()}")
    most = cluster.run(*command, "TRESUsageInMax", "-n").stdout.split()[-1]
    words = dict(word.split("=") for word in most.split(","))
    problems = []
    if size.parse_mib(words.get("gres/gpumem", "0")) < _HELD_MIB:
        problems.append(f"a job that held {_HELD_MIB} MiB of a GPU has {most}")
    if int(words.get("gres/gpuutil", "0")) == 0:
        problems.append(f"a job that kept a GPU busy has {most}")
    return problems


def _processes(when: str) -> str:
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"processes on the GPUs {when}: {said.replace(chr(10), '; ') or 'none'}"


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _shown(command: Sequence[str]) -> str:
    """Return the command as a line; programs of several lines by their name."""
    words = [word if "\n" not in word else "ALLREDUCE" for word in command]
    return " ".join(f"'{word}'" if " " in word else word for word in words).replace(sys.executable, "python")
