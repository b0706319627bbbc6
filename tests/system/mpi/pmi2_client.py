"""A program that speaks PMI-2 through Slurm's client library: ranks exchange cards and attributes."""

import ctypes
import os

pmi = ctypes.CDLL("libpmi2.so.0")


def check(status: int) -> None:
    assert status == 0, f"PMI-2 error {status}"


spawned, size, rank, appnum = (ctypes.c_int() for _ in range(4))
check(pmi.PMI2_Init(*map(ctypes.byref, (spawned, size, rank, appnum))))
assert rank.value == int(os.environ["SLURM_PROCID"])

job = ctypes.create_string_buffer(256)
check(pmi.PMI2_Job_GetId(job, 256))
check(pmi.PMI2_KVS_Put(b"card-%d" % rank.value, b"of %d; with = and blanks" % rank.value))
if os.environ["SLURM_LOCALID"] == "0":
    check(pmi.PMI2_Info_PutNodeAttr(b"first", b"rank %d" % rank.value))
check(pmi.PMI2_KVS_Fence())

value, length, found = ctypes.create_string_buffer(1024), ctypes.c_int(), ctypes.c_int()
cards = []
for other in range(size.value):
    check(pmi.PMI2_KVS_Get(None, -1, b"card-%d" % other, value, 1024, ctypes.byref(length)))
    cards.append(value.value.decode())
assert cards == [f"of {other}; with = and blanks" for other in range(size.value)], cards

check(pmi.PMI2_Info_GetNodeAttr(b"first", value, 1024, ctypes.byref(found), 1))
first = value.value.decode()
check(pmi.PMI2_Info_GetJobAttr(b"PMI_process_mapping", value, 1024, ctypes.byref(found)))
mapping = value.value.decode()
print(f"rank {rank.value} of {size.value} job {job.value.decode()} first {first} mapping {mapping}", flush=True)
check(pmi.PMI2_Finalize())
