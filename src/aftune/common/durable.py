"""What has been written stays written when the power fails: it is on the disk before a name stands for it."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Returns when a file's content, or a folder's list of names, is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # Windows cannot do that for a folder
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(path: Path, new: Path) -> None:
    """Gives a file or a folder, with all that is in it, a new name; a file that has it is replaced."""
    for inner in sorted(path.rglob("*"), reverse=True) if path.is_dir() else ():
        flush(inner)
    flush(path)
    path.replace(new)
    flush(new.parent)
