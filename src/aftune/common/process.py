"""Settings of the process: how it keeps memory, which changes its speed but no result, and when it ends."""

import ctypes
import gc
import multiprocessing
import os
import platform
import threading
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
KEPT_BELOW = 2**28  # bytes of a tensor whose memory is kept when it is freed


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory instead of giving it back to the system after every large tensor.

    A training step allocates and frees the same large tensors again and again; without this, a fifth or more of its time on a CPU
    goes into page faults (benchmarks/allocator.py). Tensors of 256 MiB and more are given back all the same: with sizes that differ
    from pass to pass, such as those of the logits of 262,144 words, each would leave a hole that the next one does not fit into
    (benchmarks/holes.py). torch takes large pages for what it allocates. Does nothing with another C library.
    """
    if libc := _glibc():
        libc.mallopt(_M_MMAP_THRESHOLD, KEPT_BELOW)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch looks at its first large tensor


def give_back_freed_memory() -> None:
    """Gives all freed memory back to the system, including what lies between small objects that are still in use.

    Otherwise the freed pieces of such a fragmented heap are not reused, and it grows with every long row (benchmarks/memory.py
    --many). Does nothing with another C library.
    """
    if libc := _glibc():
        libc.malloc_trim(0)


def release_memory() -> None:
    """Frees what a stage has left behind, such as a trainer whose parts refer to each other and to a model, and gives it back."""
    gc.collect()
    give_back_freed_memory()


def end_with_parent() -> None:
    """Ends this process of a pool when the one that started it is gone, however that ended.

    Without this, killing the parent leaves it waiting for work for ever, holding its memory and the lock on its run directory.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
