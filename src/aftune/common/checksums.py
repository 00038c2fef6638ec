"""Whether the files of a folder (of a finished stage, or a checkpoint) are still those that were written. A list in it has their
SHA-256, in the form that `sha256sum -c` takes."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from aftune.common.errors import StageError
from aftune.common.text_files import write_lines

LIST = "SHA256SUMS"
_FOR_PEOPLE = "README.md"  # cards of models, which no stage reads and which are written again with new figures


@dataclass(frozen=True)
class Inspection:
    """Of a folder. number: files that were listed; None where that is not known: an earlier aftune kept no list, or it is damaged.
    differences: what is not as it was written, in words, one place each. others: files that are not listed."""

    number: int | None
    differences: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def write_list(folder: Path, *beside: Path) -> str:
    """Lists all files in a folder, and others beside the folder; gives the SHA-256 of the list."""
    files = [path.relative_to(folder).as_posix() for path in _files(folder)]
    names = files + [f"../{path.relative_to(folder.parent).as_posix()}" for path in beside]
    write_lines(folder / LIST, (f"{sha256(folder / name)}  {name}" for name in names))
    return sha256(folder / LIST)


def sha256(path: Path) -> str:
    """Of all bytes of a file, however large it is."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def gone(folder: Path) -> list[Path]:
    """The listed files that are not there; none where there is no list."""
    return [folder / name for name in _listed(folder) if not (folder / name).exists()]


def inspect(folder: Path, of_list: str) -> Inspection:
    """Reads every byte of the listed files. of_list: the SHA-256 of the list."""
    if not (folder / LIST).exists():
        return Inspection(None, [f"{folder / LIST}: is gone, so the files beside it cannot be checked"])
    if sha256(folder / LIST) != of_list:
        return Inspection(None, [f"{folder / LIST}: is not what was written, so the files beside it cannot be checked"])
    listed, found = _listed(folder), []
    for name, expected in listed.items():
        try:
            if sha256(folder / name) != expected:
                found.append(f"{folder / name}: is not what was written")
        except FileNotFoundError:
            found.append(f"{folder / name}: is gone")
        except OSError as error:
            found.append(f"{folder / name}: cannot be read ({error.strerror})")
    return Inspection(len(listed), found, [path for path in _files(folder) if path.relative_to(folder).as_posix() not in listed])


def check(folder: Path, of_list: str | None, reader: str) -> None:
    """Raises StageError where the files of a stage are no longer what it left, for the stage that is about to read them.

    of_list: None for a stage that an earlier aftune made, which kept no list.
    """
    if of_list is None:
        return
    if found := inspect(folder, of_list).differences:
        more = f" (and {len(found) - 1} more: `aftune verify {folder.parent}` lists them)" if len(found) > 1 else ""
        raise StageError(
            f"{reader}: {found[0]}{more}; the disk or another program has changed it. Put it back, or remove {folder} "
            "to make it again"
        )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (LIST, _FOR_PEOPLE))


def _listed(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file, by its name from the folder."""
    if not (folder / LIST).exists():
        return {}
    lines = (folder / LIST).read_text(encoding="utf-8", errors="replace").splitlines()
    listed = (line.partition("  ") for line in lines)
    return {name: digest for digest, _, name in listed if Path(name).name != _FOR_PEOPLE}
