"""Settings of the process that make a CPU faster and change no result."""

import ctypes
import platform

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
