"""Runs in two processes: the same figures as in one, one message for a fault, and no process that waits for a dead one."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import small_comparison
import small_run
from aftune.common.errors import UsageError
from aftune.pipeline.compare.runs import comparison
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


def aftune(*words: str) -> str:
    """What a command prints that must succeed."""
    command = [sys.executable, "-m", "aftune", *words]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


ASSESSED = ("eval_assessment_accuracy", "eval_num_assessed_problems", "eval_score_right", "eval_score_wrong")
LOGGED = {"sft": ("loss", "eval_accuracy", "eval_loss"), "align": ("loss", *ASSESSED), "control": ("loss", *ASSESSED)}
COUNTED = ("eval_accuracy", "eval_assessment_accuracy", "eval_num_assessed_problems")  # the same to the last digit


# The stages in which all processes work, and which of the two is killed in each.
KILLED = {"two": [("sft", 0), ("sample", 1), ("align", 0), ("control", 1), ("evaluate", 0)], "sharded": [("align", 1)]}


@dataclass(frozen=True)
class End:
    """How a run ended of which one process was killed in a stage."""

    victim: int
    status: int
    errors: str
    finished: bool  # the stage


def killed(folder: Path, stage: str, victim: int, *, sharded: bool) -> End:
    """Runs in two processes until a stage has begun, and kills one."""
    with subprocess.Popen(
        command(folder, 2, sharded=sharded), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while RunDirectory(folder / "run").entry(stage).get("status") != "running":
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        workers = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True, check=True).stdout.split()
        os.kill(int(workers[victim]), signal.SIGKILL)
        _, errors = running.communicate(timeout=SECONDS)
    return End(victim, running.returncode, errors, RunDirectory(folder / "run").entry(stage)["status"] == "finished")


@dataclass(frozen=True)
class Run:
    folder: Path
    ends: list[End]

    def figures(self) -> Any:
        return json.loads((self.folder / "metrics.json").read_text())["results"]

    def log(self, stage: str) -> list[dict[str, float]]:
        return json.loads((self.folder / stage / "log.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """One process; two, and two that share the weights while training, that are killed in one stage after the other."""
    made = {}
    for name in ("one", "two", "sharded"):
        folder, sharded = tmp_path_factory.mktemp(name), name == "sharded"
        ends = [killed(folder, stage, victim, sharded=sharded) for stage, victim in KILLED.get(name, [])]
        done = run(folder, 1 if name == "one" else 2, sharded=sharded)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("evaluate  done") == 1
        assert "[transformers]" not in done.stderr
        made[name] = Run(folder / "run", ends)
    return made


@pytest.mark.parametrize("kind", ["two", "sharded"])
def test_a_killed_process_ends_the_run(runs: dict[str, Run], kind: str) -> None:
    """The same command has then gone on to the figures that the next test compares."""
    assert len(runs[kind].ends) == len(KILLED[kind])
    for end in runs[kind].ends:
        assert end.status == 1
        assert ("SIGKILL" if kind == "sharded" else f"process {end.victim + 1} of 2 was ended by SIGKILL") in end.errors
        assert not end.finished


@pytest.mark.parametrize("kind", ["two", "sharded"])
def test_two_processes_give_the_figures_of_one(runs: dict[str, Run], kind: str) -> None:
    """Candidates and verdicts to the last character, scores to rounding."""
    one, two = runs["one"], runs[kind]
    for stage in ("sample", "evaluate"):
        made = [read_records(run.folder / stage / "candidates.jsonl", Candidate) for run in (one, two)]
        texts = [{(c.problem_id, c.index): c.text for c in candidates} for candidates in made]
        assert texts[0] == texts[1]
        assert len(texts[1]) == len(made[1])
    groups = [read_records(run.folder / "label" / "groups.jsonl", Group) for run in (one, two)]
    assert [group.qualities for group in groups[0]] == [group.qualities for group in groups[1]]
    ours, theirs = two.figures(), one.figures()
    for model, values in theirs.items():
        assert ours[model]["accuracy"] == values["accuracy"]
        assert ours[model]["reference_perplexity"] == pytest.approx(values["reference_perplexity"], rel=1e-5)
        for name, value in values.items():
            assert ours[model][name] == pytest.approx(value, rel=1e-4), (model, name)
    for stage, names in LOGGED.items():
        logs = [run.log(stage) for run in (one, two)]
        for name in names:
            wanted, found = ([entry[name] for entry in log if name in entry] for log in logs)
            assert len(wanted) > 1
            assert found == (wanted if name in COUNTED else pytest.approx(wanted, abs=1e-5)), (stage, name)


def test_a_fault_is_told_once(tmp_path: Path) -> None:
    done = run(tmp_path, 2, "sft.learning_rate=1e30")
    assert done.returncode == 1
    assert done.stderr.count("aftune: error:") == 1
    assert "training has diverged" in done.stderr


def test_a_comparison_in_two_processes(tmp_path: Path) -> None:
    """Two methods that train: the figures of one process, to rounding."""
    rows = []
    for number in ("1", "2"):
        folder = tmp_path / number
        path = tmp_path / f"{number}.yaml"
        path.write_text(small_comparison.recipe(folder).to_yaml())
        said = aftune("compare", str(path), "--methods", "vft-steps,aft-bc", "--seeds", "1", "--processes", number)
        assert said.count("written: ") == 1
        rows.append({(row["method"], row["seed"]): row for row in json.loads((folder / "compare.json").read_text())["runs"]})
    assert len(rows[0]) == 2
    for key, wanted in rows[0].items():
        measured = {name: value for name, value in wanted.items() if isinstance(value, float) and name != "seconds"}
        assert {"accuracy", "vote_accuracy", "reference_perplexity"} <= measured.keys()
        for name, value in measured.items():
            assert rows[1][key][name] == pytest.approx(value, rel=1e-4), (key, name)


def test_several_runs_at_a_time_are_not_shared_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = comparison(small_comparison.recipe(tmp_path / "run"), ["vft"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"compare\.jobs: 2 runs at a time, each in 2 processes; set one of the two to 1"):
        small_comparison.run(wanted, jobs=2)
    assert not (tmp_path / "run").exists()


def test_a_benchmark_in_two_processes(tmp_path: Path) -> None:
    """The files of one process, to the last character."""
    found = []
    for number in ("1", "2"):
        out = tmp_path / number
        settings = ["model.precision=float32", "evaluate.max_new_tokens=60", "evaluate.batch_size=2"]
        aftune("benchmark", "bundled", "arithmetic", "--out", str(out), "--split", "test[:11]", "--processes", number, *settings)
        found.append([(out / name).read_text() for name in ("metrics.json", "verdicts.jsonl")])
    assert found[0] == found[1]
