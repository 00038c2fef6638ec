"""Processes of a pool end with the one that started them."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from aftune.common import process
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=process.end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)  # it is there
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _runs(worker):
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether there is such a process; one that has ended but was not collected is none."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


_HOLES = """
import resource
import torch
from aftune.common.process import keep_freed_memory

def address_space():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

keep_freed_memory()
before, beside = address_space(), []
for number in range(16):
    tensor = torch.empty((2**28 + number * 2**22) // 4)
    beside.append(torch.empty(2**10))  # lies behind it
    del tensor
print((address_space() - before) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's memory")
def test_tensors_that_grow_leave_no_holes() -> None:
    """16 tensors of 256, 260, ... 316 MiB, one after the other: if freed ones stayed in the heap, none would fit where the one
    before it was, and the process would have 4.5 GiB of addresses. No page is touched."""
    done = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 400
