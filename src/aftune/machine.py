"""Settings of the process that make a CPU faster and change no result."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory instead of giving it back to the system after every large tensor.

    A training step allocates and frees the same large tensors again and again; without this, half of its time on a CPU goes
    into page faults (benchmarks/allocator.py). Does nothing where the C library is another one.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
