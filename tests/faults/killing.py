"""Runs that are killed at random moments and go on until they end: their figures and files must be those of an unbroken run.

    python tests/faults/killing.py --kills 200 --seed 0

A run is started, and after a random time one of its processes is killed, until it ends by itself; then the next run begins, until
there have been so many kills. Kinds of runs take turns: one or two processes, all weights or LoRA. It prints where the kills fell
and whatever was not as in the unbroken run, and ends with status 1 if there was anything.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import own_processes
import small_run
from aftune.pipeline import processes
from aftune.pipeline.directory.run_directory import RunDirectory

KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "one process": (1, {}),
    "one process, LoRA": (1, {"adapter": {"kind": "lora", "rank": 4}}),
    "two processes": (2, {}),
    "two processes, LoRA": (2, {"adapter": {"kind": "lora", "rank": 4}}),
}
SAME = ("sample/candidates.jsonl", "label/groups.jsonl", "evaluate/candidates.jsonl", "metrics.json")
PATIENCE = 300.0  # seconds for a run to end, on however busy a machine


@dataclass
class Outcome:
    """kills: how many fell in each stage, `start` before the first and between two. faults: in words."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def unbroken(folder: Path, kind: str) -> None:
    number, settings = KINDS[kind]
    running = _start(folder, number, settings)
    for process in running:
        process.join(PATIENCE)
    if any(process.exitcode for process in running):
        raise SystemExit(f"{kind}: the unbroken run failed: {(folder / 'said.txt').read_text()[-500:]}")


def broken(folder: Path, kind: str, kills: int, mean: float, chance: random.Random) -> Outcome:
    """A run that is killed up to so many times, after `mean` seconds in the mean, and then goes on to its end."""
    number, settings = KINDS[kind]
    outcome = Outcome()
    while True:
        running = _start(folder, number, settings)
        left = chance.expovariate(1 / mean) if sum(outcome.kills.values()) < kills else PATIENCE
        deadline = time.monotonic() + left
        while time.monotonic() < deadline and any(process.is_alive() for process in running):
            time.sleep(0.01)
        alive = [process for process in running if process.is_alive()]
        victim = chance.choice(running)
        if victim in alive and len(alive) == number:
            outcome.kills[_stage(folder)] += 1
            victim.kill()
        for process in running:  # those that have lost one end by themselves
            process.join(PATIENCE)
            if process.is_alive():
                outcome.faults.append(f"{kind}: a process goes on {PATIENCE:.0f} s after another one was killed")
                process.kill()
                process.join()
        statuses = [process.exitcode for process in running]
        if not any(statuses):
            return outcome
        if -signal.SIGKILL not in statuses:
            outcome.faults.append(f"{kind}: ended with {statuses}: {(folder / 'said.txt').read_text()[-500:]}")
            return outcome


def differences(folder: Path, expected: Path, kind: str) -> Iterator[str]:
    """What is not as in an unbroken run; scores of two processes to rounding, whatever they were shared by."""
    if any(not (folder / name).exists() for name in SAME):
        return
    for name in SAME[:-1]:
        if (folder / name).read_bytes() != (expected / name).read_bytes():
            yield f"{kind}: {folder / name} differs"
    ours, theirs = (json.loads((path / "metrics.json").read_text()) for path in (folder, expected))
    if ours != theirs:
        yield f"{kind}: metrics.json differs: {ours['results']} instead of {theirs['results']}"


def _start(folder: Path, number: int, settings: dict[str, Any]) -> list[Any]:
    folder.mkdir(exist_ok=True)
    path = folder / "recipe-of-the-test.yaml"
    path.write_text(small_run.recipe(folder, **settings).to_yaml())
    return own_processes.start_command(folder / "said.txt", ["run", str(path)], number, impatient)


def impatient() -> None:
    """One that is killed before all have met keeps the others waiting for ten minutes, unless a launcher ends them."""
    processes.MEETING = timedelta(seconds=20)


def _stage(folder: Path) -> str:
    try:
        stages = RunDirectory(folder).manifest()["stages"]
    except OSError:
        return "start"
    return next((name for name, entry in stages.items() if entry["status"] == "running"), "start")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mean", type=float, default=2.5, help="mean seconds to a kill, times the number of processes")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    total, faults = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for kind in KINDS:
            unbroken(folder / kind, kind)
        number = 0
        while sum(total.values()) < options.kills:
            kind = list(KINDS)[number % len(KINDS)]
            number += 1
            run = folder / f"run-{number}"
            outcome = broken(run, kind, options.kills - sum(total.values()), options.mean * KINDS[kind][0], chance)
            outcome.faults += differences(run, folder / kind, kind)
            print(f"{kind}: {sum(outcome.kills.values())} kills: {dict(outcome.kills)}", *outcome.faults, sep="\n  ", flush=True)
            total += outcome.kills
            faults += outcome.faults
    print(f"{sum(total.values())} kills in {number} runs, seed {options.seed}: {dict(total)}; {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
