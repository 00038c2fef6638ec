"""A small finished comparison and runs that several files look at; none of them changes them."""

import fcntl
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import small_comparison
import small_run
from aftune.pipeline.compare import runs
from aftune.pipeline.compare.runs import Comparison
from aftune.pipeline.runner import run_stages
from aftune.training.dataset import EncodedGroups


@dataclass(frozen=True)
class FinishedComparison:
    """seen: for each method the ids of the problems that it was trained on, in that order."""

    folder: Path
    wanted: Comparison
    failures: list[runs.Failure]
    seen: dict[str, list[str]]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For a test that runs it again: no other process of pytest-xdist does meanwhile."""
        with open(self.folder / ".test-lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def shared(self) -> Path:
        return self.folder / "seed-0"

    def method(self, name: str) -> Path:
        return self.shared / "methods" / name.replace(":", ",")

    def clone(self, folder: Path, methods: Sequence[str] = ()) -> Path:
        """A copy with the shared stages and these methods."""
        shutil.copytree(self.shared, folder / "seed-0", ignore=shutil.ignore_patterns("methods"))
        for name in methods:
            place = self.method(name)
            shutil.copytree(place, folder / "seed-0" / "methods" / place.name)
        return folder


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> FinishedComparison:
    """All of `small_comparison.METHODS`. Processes of pytest-xdist share one: whoever comes second finds it finished."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "comparison"
    folder.mkdir(exist_ok=True)
    noted = folder / "seen.json"
    wanted = runs.comparison(small_comparison.recipe(folder), small_comparison.METHODS)
    with open(folder / ".test-lock", "w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seen = _noting_what_is_seen(patch)
        failures = small_comparison.run(wanted)
        if not noted.exists():
            noted.write_text(json.dumps(seen))
    return FinishedComparison(folder, wanted, failures, json.loads(noted.read_text()))


@pytest.fixture(scope="session")
def adapter_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """By whether adapters are merged: the same run. Shared between processes as the comparison is."""
    pytest.importorskip("peft", reason="PEFT is not installed: pip install 'aftune[peft]'")
    base = tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folders = {merge: place / f"adapter-merge-{merge}" for merge in (True, False)}
    with open(place / ".adapter-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for merge, folder in folders.items():
            adapter = {"kind": "lora", "rank": 4, "merge": merge}
            # Saved in float32: what is compared is not rounded.
            recipe = small_run.recipe(folder, adapter=adapter, model={"save_dtype": "float32"})
            run_stages(recipe, report=lambda line: None)
    return folders


def _noting_what_is_seen(patch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    seen: dict[str, list[str]] = defaultdict(list)
    current = [""]
    run, get = runs._run, EncodedGroups.__getitem__

    def noting_run(recipe: Any, names: Any, seed: int, name: str | None, report: Any = None) -> list[str]:
        current[0] = name or "shared"
        return run(recipe, names, seed, name, report)

    def noting_get(self: EncodedGroups, index: int) -> Any:
        group = get(self, index)
        seen[current[0]].append(group.problem_id)
        return group

    patch.setattr(runs, "_run", noting_run)
    patch.setattr(EncodedGroups, "__getitem__", noting_get)
    return seen
