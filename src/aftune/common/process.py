"""Settings of the process: what makes a CPU faster and changes no result, and when it ends."""

import ctypes
import multiprocessing
import os
import platform
import threading
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory instead of giving it back to the system after every large tensor.

    A training step allocates and frees the same large tensors again and again; without this, a fifth of its time on a CPU or more
    goes into page faults (benchmarks/allocator.py). Does nothing where the C library is another one.
    """
    if libc := _glibc():
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Gives all freed memory back to the system, also what lies between small objects that are still in use.

    Freed pieces of such a fragmented heap are otherwise not found again, and it grows with every long row (benchmarks/memory.py
    --many). Does nothing where the C library is another one.
    """
    if libc := _glibc():
        libc.malloc_trim(0)


def end_with_parent() -> None:
    """Ends this process of a pool when the one that started it is gone, however that ended.

    Without this, killing the parent leaves it waiting for work for ever, with its memory and the lock of its run directory.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
