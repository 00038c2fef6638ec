"""The run directory: one folder per stage, and a manifest that says what made each of them.

The manifest keeps for each stage its settings, its version, its input files and the fingerprints of the stages that it read: a
finished stage is skipped as long as nothing that matters has changed in them (see `changes`). Its fingerprint names what it made.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

import aftune
from aftune.common import durable
from aftune.common.errors import StageError
from aftune.common.json_text import write_json
from aftune.common.text_files import write_lines
from aftune.common.yaml_text import parse_yaml
from aftune.recipe import Recipe

RESULTS = ("report.html", "metrics.json")  # what a whole run leaves, beside the folders of its stages
PROGRESS = "progress.json"  # how far the stage under way is
_PATIENCE = 0.3  # seconds: somebody may be looking whether the directory is in use
_MIB = 2**20
_LARGE_FILE = 64 * _MIB  # of larger files (weights) only parts are hashed
_PART = 2**15
_FULL = 2**18  # bytes
_NEW, _OLD = "new", "old"  # the endings of folders of a stage that is made again
_UNUSED = "unused"  # the folder for stages that the recipe no longer has


class RunDirectory:
    """Folders and manifest of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def folder(self, stage: str) -> Path:
        """A stage's folder. While a finished stage is made again that is another one, which takes its place at the end."""
        return self._beside(stage, _NEW) if "replaces" in self.entry(stage) else self.path / stage

    def _beside(self, stage: str, what: str) -> Path:
        return self.path / f"{stage}.{what}"

    def create(self) -> list[Path]:
        """Makes the directory and gives the folders that were not there before, innermost first; raises StageError where nothing
        can be written to it."""
        made = missing_folders(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".lock").touch()
        except OSError as error:
            raise StageError(
                f"run_dir: {self.path} cannot be written to ({error.strerror}); choose another with run_dir=FOLDER"
            ) from error
        return made

    def undo(self, made: Sequence[Path]) -> None:
        """Removes the folders that `create` made, unless a stage was finished in them."""
        if not self.has_finished():
            remove_made(made)

    def has_finished(self) -> bool:
        """Whether any stage is finished."""
        return any(entry["status"] == "finished" for entry in self.manifest()["stages"].values())

    def clear(self) -> None:
        """Removes what a run has written, including the runs of a comparison that build on it, and nothing else."""
        stages = [name for stage in self.manifest()["stages"] for name in (stage, f"{stage}.{_NEW}", f"{stage}.{_OLD}")]
        for name in (*stages, _UNUSED, "methods"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (*RESULTS, PROGRESS, "recipe.yaml", "manifest.json"):
            (self.path / name).unlink(missing_ok=True)

    def set_aside(self, stage: str) -> Path:
        """Moves a stage's folder to where nobody takes it for current, and gives its new place."""
        self.give_back(stage)
        manifest = self.manifest()
        del manifest["stages"][stage]
        place = self.path / _UNUSED / stage
        shutil.rmtree(place, ignore_errors=True)
        if self.folder(stage).exists():
            place.parent.mkdir(exist_ok=True)
            self.folder(stage).rename(place)
        self._write(manifest)
        return place

    def recipe_values(self) -> dict[str, Any]:
        """The keys of the recipe that was run here, whatever version wrote them; empty where there is none."""
        path = self.path / "recipe.yaml"
        try:
            values = parse_yaml(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (ValueError, yaml.YAMLError) as error:
            raise StageError(f"{path}: cannot be read ({error}); remove it, or choose another run_dir") from error
        return values if isinstance(values, dict) else {}

    def write_recipe(self, recipe: Recipe) -> None:
        """Writes the resolved recipe of what is being run."""
        write_lines(self.path / "recipe.yaml", [recipe.to_yaml().rstrip()])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run out. The system frees the lock when the process ends, however it ends; where a file system knows no
        locks, the process is named in the file, and its lock counts no more when it is gone."""
        try:
            lock = FileLock(self.path / ".lock").acquire(timeout=_PATIENCE)
        except Timeout as error:
            raise StageError(
                f"run_dir: another aftune process is using {self.path}; wait for it or choose another folder"
            ) from error
        with lock:
            yield

    def in_use(self) -> bool:
        """Whether a process is running here now. It takes the lock for a moment, shared where it can, and writes nothing."""
        path = self.path / ".lock"
        if not path.exists():
            return False
        try:
            import fcntl

            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        except (ImportError, OSError):  # Windows, or a file system without such locks
            try:
                with FileLock(path).acquire(timeout=0):
                    return False
            except Timeout:
                return True

    def ready_folder(self, stage: str) -> Path | None:
        """The folder that a stage has left, finished; None where there is none. While it is made again, that is the old one."""
        entry = self.entry(stage)
        return self.path / stage if entry.get("status") == "finished" or "replaces" in entry else None

    def is_full(self) -> bool:
        """Whether the disk has less room than a stage's smallest file may need."""
        return shutil.disk_usage(self.path).free < _FULL

    def manifest(self) -> dict[str, Any]:
        path = self.path / "manifest.json"
        if not path.exists():
            return {"stages": {}}
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StageError(f"{path}: cannot be read ({error}); remove it to run all stages again") from error
        if not isinstance(manifest, dict) or "stages" not in manifest:
            return {"stages": {}}
        check = manifest.pop("check", None)  # not of an earlier aftune
        if check not in (None, fingerprint(manifest)):
            raise StageError(f"{path}: is not what aftune wrote; put it back, or remove it to run all stages again")
        return manifest

    def entry(self, stage: str) -> dict[str, Any]:
        """What the manifest knows about a stage; empty if it never started."""
        entry: dict[str, Any] = self.manifest()["stages"].get(stage, {})
        return entry

    def precision(self) -> str | None:
        """The precision that the run computes in; None before it began."""
        manifest = self.manifest()
        noted = manifest.get("precision", {}).get("chosen")
        earlier = (entry.get("settings", {}).get("model", {}).get("precision") for entry in manifest["stages"].values())
        return noted or next((precision for precision in earlier if precision), None)

    def note_precision(self, chosen: str, why: str) -> None:
        """Records the precision that the run computes in, and why; what is recorded for the same precision stays."""
        manifest = self.manifest()
        if manifest.get("precision", {}).get("chosen") != chosen:
            self._write(manifest | {"precision": {"chosen": chosen, "why": why}})

    def begin(self, stage: str, made_by: Mapping[str, Any], *, keep: bool) -> None:
        """Records that a stage runs, and what decides its result: fingerprint, version, seed, settings, inputs, and the
        fingerprints of the stages that it reads. With `keep`, what an interrupted run left stays; without it, that is removed. What
        a finished stage left stays in its place until `finish`."""
        before = self.entry(stage)
        entry = before if keep else {}
        finished = before if before.get("status") == "finished" else before.get("replaces")
        new, old = self._beside(stage, _NEW), self._beside(stage, _OLD)
        if keep and finished and old.exists() and not new.exists():
            (self.path / stage).rename(new)  # killed when it was in its place already, but the manifest did not say so
        if finished and not (self.path / stage).exists() and old.exists():
            old.rename(self.path / stage)
        shutil.rmtree(old, ignore_errors=True)
        folder = new if finished else self.path / stage
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        # A stage that continues keeps the seconds of its earlier attempts, and their settings where these were different.
        started = {"status": "running", **made_by, "started": _now(), "seconds": entry.get("seconds", 0.0)}
        earlier = [*entry.get("earlier_settings", []), *([entry["settings"]] if entry else [])]
        others = [settings for settings in earlier if settings != made_by["settings"]]
        replaces = {"replaces": finished} if finished else {}
        self._update(stage, started | ({"earlier_settings": others} if others else {}) | replaces)

    def finish(self, stage: str, seconds: float, outcome: Mapping[str, Any]) -> None:
        """Records that a stage is done, with its summary and whatever else is known now."""
        entry = self.entry(stage)
        total = round(entry["seconds"] + seconds, 2)
        if entry.pop("replaces", None) is not None:
            if (self.path / stage).exists():
                durable.rename(self.path / stage, self._beside(stage, _OLD))
            durable.rename(self._beside(stage, _NEW), self.path / stage)
        self._update(stage, {**entry, "status": "finished", "finished": _now(), "seconds": total, **outcome})
        shutil.rmtree(self._beside(stage, _OLD), ignore_errors=True)

    def give_back(self, stage: str) -> None:
        """Ends the attempt to make a finished stage again: what it was to replace counts again."""
        if (finished := self.entry(stage).get("replaces")) is None:
            return
        if self._beside(stage, _OLD).exists():
            shutil.rmtree(self.path / stage, ignore_errors=True)
            self._beside(stage, _OLD).rename(self.path / stage)
        shutil.rmtree(self._beside(stage, _NEW), ignore_errors=True)
        self._update(stage, finished)

    def interrupted(self, stage: str, seconds: float, how: str, why: str) -> None:
        """Records that a stage ended without its result. how: `failed` or `interrupted`; a process that was killed says nothing."""
        entry = self.entry(stage)
        self._update(stage, {**entry, "seconds": round(entry["seconds"] + seconds, 2), "ended": {"how": how, "why": why}})

    def _update(self, stage: str, entry: dict[str, Any]) -> None:
        manifest = self.manifest()
        manifest["versions"] = versions()
        manifest["machine"] = {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()}
        manifest["stages"][stage] = entry
        self._write(manifest)

    def _write(self, manifest: dict[str, Any]) -> None:
        written = json.loads(json.dumps(manifest))  # as it will be read
        write_json(self.path / "manifest.json", manifest | {"check": fingerprint(written)})


def missing_folders(path: Path) -> list[Path]:
    """Those of a folder and its parents that do not exist, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_made(made: Sequence[Path]) -> None:
    """Removes what `missing_folders` named: the innermost with all that is in it, its parents if nothing else is in them."""
    for folder in made[:1]:
        shutil.rmtree(folder, ignore_errors=True)
    for folder in made[1:]:
        with suppress(OSError):  # somebody else's files are in it by now
            folder.rmdir()


def versions() -> dict[str, str]:
    return {"aftune": aftune.__version__, **{name: version(name) for name in ("torch", "transformers", "accelerate", "numpy")}}


def fingerprint(value: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """A hash of a file's content; for a very large file, of its size, both ends and a part of every MiB in between: training
    changes whole matrices."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        if size <= _LARGE_FILE:
            while block := file.read(_MIB):
                digest.update(block)
            return digest.hexdigest()[:16]
        digest.update(file.read(_MIB))
        for start in range(_MIB, size - _MIB, _MIB):
            file.seek(min(start + _MIB // 2, size - _MIB))
            digest.update(file.read(_PART))
        file.seek(-_MIB, os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()[:16]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
