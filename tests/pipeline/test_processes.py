"""Runs in two processes: the same figures as in one, one message for a fault, and no process that waits for a dead one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.records import Candidate, Group, read_records

pytestmark = pytest.mark.xdist_group("processes")  # its fixtures are slow to make, so one process runs it all

SECONDS = 120.0  # for a process to notice that another one is gone, on however busy a machine


SHARDING = Path(__file__).parents[1] / "sharding_on_cpus.py"

# So that processes share unevenly: five validation problems, and one held-out group that is assessed. With a stage `reference`.
SETTINGS: dict[str, Any] = {
    "task": {"validation": "validation[:5]"},
    "align": {"validation_groups": 9, "beta": "auto"},
}


def command(folder: Path, number: int, *overrides: str, sharded: bool = False) -> list[str]:
    """Runs `small_run`'s recipe with `SETTINGS`; sharded: by torch's launcher, with accelerate told that it may shard on CPUs."""
    path = folder / "recipe-of-the-test.yaml"
    path.write_text(small_run.recipe(folder / "run", **SETTINGS).to_yaml())
    if sharded:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
        return [sys.executable, *launcher, str(SHARDING), "run", str(path), *overrides, "launch.sharding=fsdp"]
    return [sys.executable, "-m", "aftune", "run", str(path), *overrides, "--processes", str(number)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def run(folder: Path, number: int, *overrides: str, sharded: bool = False) -> subprocess.CompletedProcess[str]:
    words = command(folder, number, *overrides, sharded=sharded)
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=300, check=False)


ASSESSED = ("eval_assessment_accuracy", "eval_num_assessed_problems", "eval_score_right", "eval_score_wrong")
LOGGED = {"sft": ("loss", "eval_accuracy", "eval_loss"), "align": ("loss", *ASSESSED), "control": ("loss", *ASSESSED)}
COUNTED = ("eval_accuracy", "eval_assessment_accuracy", "eval_num_assessed_problems")  # the same to the last digit


def figures(folder: Path) -> Any:
    return json.loads((folder / "run" / "metrics.json").read_text())["results"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One process, two, and two that share the weights while training."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("one", "two", "sharded")}
    for name, folder in folders.items():
        done = run(folder, 1 if name == "one" else 2, sharded=name == "sharded")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("align     done") == 1
        assert "[transformers]" not in done.stderr
    return folders


@pytest.mark.parametrize("kind", ["two", "sharded"])
def test_two_processes_give_the_figures_of_one(runs: dict[str, Path], kind: str) -> None:
    """Candidates and verdicts to the last character, scores to rounding."""
    one, two = (runs[name] / "run" for name in ("one", kind))
    for stage in ("sample", "evaluate"):
        made = [read_records(folder / stage / "candidates.jsonl", Candidate) for folder in (one, two)]
        texts = [{(c.problem_id, c.index): c.text for c in candidates} for candidates in made]
        assert texts[0] == texts[1]
        assert len(texts[1]) == len(made[1])
    groups = [read_records(folder / "label" / "groups.jsonl", Group) for folder in (one, two)]
    assert [group.qualities for group in groups[0]] == [group.qualities for group in groups[1]]
    ours, theirs = figures(runs[kind]), figures(runs["one"])
    for model, values in theirs.items():
        for name, value in values.items():
            assert ours[model][name] == pytest.approx(value, rel=1e-4), (model, name)
    for stage, names in LOGGED.items():
        logs = [json.loads((folder / stage / "log.json").read_text()) for folder in (one, two)]
        for name in names:
            wanted, found = ([entry[name] for entry in log if name in entry] for log in logs)
            assert len(wanted) > 1
            assert found == (wanted if name in COUNTED else pytest.approx(wanted, abs=1e-5)), (stage, name)


def test_a_fault_is_told_once(tmp_path: Path) -> None:
    done = run(tmp_path, 2, "sft.learning_rate=1e30")
    assert done.returncode == 1
    assert done.stderr.count("aftune: error:") == 1
    assert "training has diverged" in done.stderr


# The stages in which all processes work, and which of the two is killed in each.
KILLED = [("sft", 0), ("sample", 1), ("align", 0), ("control", 1), ("evaluate", 0)]


@pytest.mark.parametrize(("kills", "sharded"), [(KILLED, False), ([("align", 1)], True)])
def test_a_killed_process_ends_the_run_and_the_same_command_continues(
    runs: dict[str, Path], tmp_path: Path, kills: list[tuple[str, int]], sharded: bool
) -> None:
    """Killed in one stage after the other; what the same command then ends with are the figures of the unbroken run."""
    for stage, victim in kills:
        with subprocess.Popen(
            command(tmp_path, 2, sharded=sharded), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            while RunDirectory(tmp_path / "run").entry(stage).get("status") != "running":
                assert running.poll() is None, running.communicate()
                time.sleep(0.02)
            workers = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True, check=True).stdout.split()
            os.kill(int(workers[victim]), signal.SIGKILL)
            _, errors = running.communicate(timeout=SECONDS)
        assert running.returncode == 1
        assert ("SIGKILL" if sharded else f"process {victim + 1} of 2 was ended by SIGKILL") in errors
        assert RunDirectory(tmp_path / "run").entry(stage)["status"] != "finished"
    done = run(tmp_path, 2, sharded=sharded)
    assert done.returncode == 0, done.stderr
    ours, theirs = figures(tmp_path), figures(runs["two"])
    for model, values in theirs.items():
        assert ours[model]["accuracy"] == values["accuracy"]
        assert ours[model]["reference_perplexity"] == pytest.approx(values["reference_perplexity"], rel=1e-5)
