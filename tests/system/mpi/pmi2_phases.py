"""Two barriers through Slurm's PMI-2 client library, and a wait in between: files say how far each rank is."""

import ctypes
import os
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
pmi = ctypes.CDLL("libpmi2.so.0")
numbers = [ctypes.c_int() for _ in range(4)]
assert pmi.PMI2_Init(*map(ctypes.byref, numbers)) == 0
rank, size = int(os.environ["SLURM_PROCID"]), numbers[1].value
assert pmi.PMI2_KVS_Fence() == 0
(folder / f"first-{rank}").touch()
while not (folder / "go").exists():
    time.sleep(0.02)
assert pmi.PMI2_KVS_Put(b"late-%d" % rank, b"%d" % (rank * rank)) == 0
assert pmi.PMI2_KVS_Fence() == 0
value, length = ctypes.create_string_buffer(1024), ctypes.c_int()
for other in range(size):
    assert pmi.PMI2_KVS_Get(None, -1, b"late-%d" % other, value, 1024, ctypes.byref(length)) == 0
    assert value.value == b"%d" % (other * other)
(folder / f"second-{rank}").touch()
assert pmi.PMI2_Finalize() == 0
