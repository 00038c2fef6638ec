"""A small comparison of every kind of method: fair, resumable, redone no more than needed, and its tables add up."""

import csv
import hashlib
import json
import math
import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import own_processes
import small_comparison
from aftune.cli.compare_views import print_table
from aftune.cli.main import app
from aftune.common.diagnosis import diagnose
from aftune.evaluation.assessment import assessment_accuracy
from aftune.pipeline import runner
from aftune.pipeline.compare import results as outcome
from aftune.pipeline.compare import runs
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import plan
from aftune.prompts.encoding import encode_candidate, encode_prompt, encode_response
from aftune.prompts.formats import PLAIN_PROMPT
from aftune.records import Candidate, Group, GroupScores, JudgedResponse, Problem, Votes, read_records, write_records
from aftune.reporting.comparison import Greedy, render_comparison
from html_page import Elements, plots

VFT = ("vft", "vft-steps", "vft-compute")
SAME_STEPS = [name for name in small_comparison.METHODS if name not in ("vft", "vft-compute", "aft-bc:rounds=2")]


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """The lines of compare.csv by method."""
    with open(folder / "compare.csv", newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def untimed(row: dict[str, str]) -> dict[str, str]:
    """What two runs of the same method agree in."""
    return {name: value for name, value in row.items() if name not in ("seconds", "folder")}


def results(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "compare.json").read_text())
    return loaded


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def summary(run: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = RunDirectory(run).entry(stage)["summary"]
    return found


def statuses(wanted: runs.Comparison) -> dict[str, list[str]]:
    """What would happen to the stages of each run."""
    shared = wanted.shared(0).plan()
    found = {"shared": [item.status for item in shared]}
    for method in wanted.methods:
        recipe = wanted.method_recipe(method, 0)
        plans = plan(recipe, RunDirectory(recipe.run_dir), method.stages(recipe), shared)
        found[method.name] = [item.status for item in plans]
    return found


def redone(wanted: runs.Comparison) -> set[str]:
    return {name for name, found in statuses(wanted).items() if set(found) != {"finished"}}


def test_every_run_finishes(comparison: Any) -> None:
    assert comparison.failures == []
    assert set(rows(comparison.folder)) == set(small_comparison.METHODS)
    assert redone(comparison.wanted) == set()
    assert [method["num_seeds"] for method in results(comparison.folder)["methods"]] == [1] * len(small_comparison.METHODS)


def test_all_methods_have_the_same_candidates_and_held_out_groups(comparison: Any) -> None:
    """They are files of the seed; a method's folder has none of its own, except for later rounds."""
    problems = [problem.id for problem in read_records(comparison.shared / "prepare" / "test.jsonl", Problem)]
    held_out = [len(group.candidates) for group in read_records(comparison.shared / "held_out" / "groups.jsonl", Group)]
    for name in small_comparison.METHODS:
        folder = comparison.method(name)
        own = {path.parent.name for path in folder.rglob("*") if path.name in ("candidates.jsonl", "groups.jsonl")}
        assert own == ({"sample-2", "label-2"} if name == "aft-bc:rounds=2" else set()), name
        scores = read_records(folder / "measure" / "scores.jsonl", GroupScores)
        assert [len(row.scores) for row in scores] == held_out
        verdicts = read_records(folder / "measure" / "verdicts.jsonl", JudgedResponse)
        assert [row.problem_id for row in verdicts] == [row.problem_id for row in scores] == problems


def test_same_steps_and_the_same_problems(comparison: Any) -> None:
    """2 epochs of 8 problems in batches of 4: 4 steps, each epoch every problem once. Two rounds are twice that."""
    problems = {problem.id for problem in read_records(comparison.shared / "prepare" / "train.jsonl", Problem)}
    for name in SAME_STEPS:
        stage = "control" if name in VFT else "align"
        assert summary(comparison.method(name), stage)["optimizer_steps"] == 4, name
        assert rows(comparison.folder)[name]["optimizer_steps"] == "4"
        seen = comparison.seen[name]
        assert len(seen) == 16, name
        assert set(seen[:8]) == set(seen[8:]) == problems, name
    rounds = comparison.method("aft-bc:rounds=2")
    assert [summary(rounds, stage)["optimizer_steps"] for stage in ("align", "align-2")] == [4, 4]
    assert rows(comparison.folder)["aft-bc:rounds=2"]["optimizer_steps"] == "8"
    assert Counter(comparison.seen["aft-bc:rounds=2"]) == dict.fromkeys(problems, 4)
    assert rows(comparison.folder)["vft"]["optimizer_steps"] == ""


def test_same_compute_takes_as_many_more_steps_as_groups_have_more_tokens(comparison: Any, tokenizer: Any) -> None:
    """Tokens from the texts: prompt and reference of every problem; of a group with a wrong candidate all candidates too."""
    references = groups = 0
    for group in read_records(comparison.shared / "label" / "groups.jsonl", Group):
        assert group.problem.rationale is not None
        prompt = encode_prompt(tokenizer, PLAIN_PROMPT.format(question=group.problem.question))
        one = len(prompt) + len(encode_response(tokenizer, group.problem.rationale))
        references += one
        groups += one
        if 0.0 in group.qualities:
            groups += sum(len(encode_candidate(tokenizer, candidate)) for candidate in group.candidates)
    assert groups > 1.5 * references
    steps = summary(comparison.method("vft-compute"), "control")["optimizer_steps"]
    assert steps == math.ceil(2 * groups / references * (8 / 4))


def test_second_call_skips_everything_and_changes_no_file(comparison: Any) -> None:
    """But recipe.yaml, which says what was asked for last, here perhaps by another test."""
    before, lines = digests(comparison.folder), list[str]()
    with comparison.alone():
        assert runs.run(comparison.wanted, 1, lines.append) == []
        outcome.write(comparison.wanted, outcome.gather(comparison.wanted))
    assert digests(comparison.folder) | {"recipe.yaml": ""} == before | {"recipe.yaml": ""}
    skipped = [line for line in lines if "warning" not in line]  # skipped stages warn again
    assert len(skipped) == 6 + 12 * 2 + 1 + 3  # shared; measure and a training each, for VFT none, for two rounds three more
    assert all("finished before, skipped" in line for line in skipped)


def test_each_run_that_begins_is_named_with_the_time_left(comparison: Any, tmp_path: Path) -> None:
    """What the runs that are there took is known, so it is before the first: methods that train are there."""
    comparison.clone(tmp_path, ["aft"])
    wanted, lines = runs.comparison(small_comparison.recipe(tmp_path), ["aft", "dpo", "pro"]), list[str]()
    assert runs.run(wanted, 1, lines.append) == []
    begun = [line for line in lines if line.startswith("[bold]seed")]
    assert [line.partition(", about ")[0] for line in begun] == [
        "[bold]seed 0, dpo[/bold]  0 of 2 runs done",
        "[bold]seed 0, pro[/bold]  1 of 2 runs done",
    ]
    assert all(re.search(r"about \d+ s left$", line) for line in begun)


def test_a_method_whose_folder_is_gone_is_redone_alone(comparison: Any, tmp_path: Path) -> None:
    """And it comes out the same."""
    names = ["vft", "dpo", "aft"]
    comparison.clone(tmp_path, ["vft", "aft"])
    before = digests(tmp_path)
    wanted = runs.comparison(small_comparison.recipe(tmp_path), names)
    assert redone(wanted) == {"dpo"}
    assert small_comparison.run(wanted) == []
    after = digests(tmp_path)
    unlike = {name for name in before if after[name] != before[name] and not name.endswith(("recipe.yaml", ".lock"))}
    assert unlike == set()
    assert {name.split("/")[2] for name in set(after) - set(before) if name.count("/") > 2} == {"dpo"}
    for name in names:
        assert untimed(rows(tmp_path)[name]) == untimed(rows(comparison.folder)[name])
    weights = Path("align") / "model" / "model.safetensors"
    made = tmp_path / "seed-0" / "methods" / "dpo" / weights
    assert made.read_bytes() == (comparison.method("dpo") / weights).read_bytes()


def test_a_changed_beta_redoes_the_methods_that_take_it_from_the_recipe(comparison: Any) -> None:
    """Not those with a beta of their own, nor VFT and its controls. A loss without a boundary has the setting too."""
    recipe = small_comparison.recipe(comparison.folder, align={"beta": 0.3})
    own = {"dpo-bc:beta=20", "aft-bc:beta=auto"}
    assert redone(runs.comparison(recipe, small_comparison.METHODS)) == set(small_comparison.METHODS) - own - set(VFT)
    assert statuses(runs.comparison(recipe, ["aft", "vft"])) == {
        "shared": ["finished"] * 5,
        "aft": ["redo", "redo"],
        "vft": ["finished"],
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evaluate": {"num_votes": 3}}, set(small_comparison.METHODS)),  # each model is measured again
        ({"align": {"auto_beta_push": 0.5}}, set(small_comparison.METHODS) - set(VFT)),
        ({"sample": {"temperature": 0.9}}, {"shared", *small_comparison.METHODS} - {"vft", "vft-steps"}),
        ({"rounds": 2}, set(small_comparison.METHODS) - {"vft", "aft-bc:rounds=2"}),
        ({"report": {"num_groups": 3}}, set()),
        ({"control": {"enabled": False}}, set()),
    ],
)
def test_other_changes_redo_what_depends_on_them(comparison: Any, changes: dict[str, Any], expected: set[str]) -> None:
    assert redone(runs.comparison(small_comparison.recipe(comparison.folder, **changes), small_comparison.METHODS)) == expected


@pytest.mark.parametrize("names", [["aft", "vft", "rft"], ["vft-compute", "aft-bc:rounds=2"], ["dpo"], ["aft-bc:beta=auto", "pro"]])
def test_which_other_methods_are_compared_changes_nothing(comparison: Any, names: list[str]) -> None:
    """Whether or not there is a reference for others to read."""
    assert redone(runs.comparison(comparison.wanted.recipe, names)) == set()


def test_results_of_other_settings_are_not_reported(comparison: Any) -> None:
    """With another beta only VFT is finished: what AFT once measured is not among the results."""
    wanted = runs.comparison(small_comparison.recipe(comparison.folder, align={"beta": 0.3}), ["vft", "aft"])
    found = outcome.gather(wanted)
    assert [row["method"] for row in found["runs"]] == ["vft"]
    assert [method["num_seeds"] for method in found["methods"]] == [1, 0]
    assert found["methods"][1]["metrics"] == found["methods"][1]["differences"] == {}


def test_tables_are_those_of_the_files(comparison: Any) -> None:
    """Every figure once more from verdicts, scores, votes and the manifest."""
    found, table = results(comparison.folder), rows(comparison.folder)
    assert (found["task"], found["model"], found["seeds"]) == ("arithmetic", "bundled", [0])
    assert [row["method"] for row in found["runs"]] == list(table) == list(small_comparison.METHODS)
    groups = read_records(comparison.shared / "held_out" / "groups.jsonl", Group)
    for row, method in zip(found["runs"], found["methods"], strict=True):
        folder = comparison.method(row["method"])
        assert (row["folder"], row["seed"], method["name"]) == (str(folder), 0, row["method"])
        verdicts = read_records(folder / "measure" / "verdicts.jsonl", JudgedResponse)
        scores = read_records(folder / "measure" / "scores.jsonl", GroupScores)
        votes = read_records(folder / "measure" / "votes.jsonl", Votes)
        shares = [assessment_accuracy(own.scores, group.qualities) for own, group in zip(scores, groups, strict=True)]
        nats = sum(own.reference_logprob for own in scores if own.reference_logprob is not None)
        expected = {
            "accuracy": fmean(verdict.right for verdict in verdicts),
            "num_truncated": sum(verdict.finish_reason == "length" for verdict in verdicts),
            "assessment_accuracy": fmean(share for share in shares if share is not None),
            "reference_perplexity": math.exp(-nats / sum(own.reference_length or 0 for own in scores)),
            "pass_at_1": fmean(fmean(own.right) for own in votes),
            "pass_at_2": fmean(any(own.right) for own in votes),
            "mean_words": fmean(len(verdict.text.split()) for verdict in verdicts),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected), row["method"]
        written = {name: value for name, value in table[row["method"]].items() if value != ""}
        assert {name: str(value) for name, value in row.items() if value is not None} == written
        means = {name: metric["mean"] for name, metric in method["metrics"].items()}
        assert means == {
            name: value
            for name, value in row.items()
            if isinstance(value, int | float) and not name.startswith("num_") and name != "seed"
        }
        trained = [name for name in ("align", "align-2", "control") if RunDirectory(folder).entry(name)]
        seconds = sum(RunDirectory(folder).entry(name)["seconds"] for name in trained)
        assert (row["seconds"] or 0) == pytest.approx(seconds)


def test_the_page_shows_the_results_and_the_logs(comparison: Any) -> None:
    """It is what the written files give, with the score curves of all that align and questions on which methods differ."""
    found, page = results(comparison.folder), (comparison.folder / "compare.html").read_text()
    aligned = {method["name"] for method in found["methods"] if method["loss"]}
    assert set(plots(page)) == {"accuracy", "correlation", *(f"scores-{name}" for name in aligned)}
    logs = {}
    for name in aligned:
        logs[name, 0] = json.loads((comparison.method(name) / "align" / "log.json").read_text())
    verdicts = {
        method["name"]: read_records(comparison.method(method["name"]) / "measure" / "verdicts.jsonl", JudgedResponse)
        for method in found["methods"]
    }
    greedy = Greedy(0, read_records(comparison.folder / "seed-0" / "prepare" / "test.jsonl", Problem), verdicts)
    assert page.rstrip("\n") == render_comparison(found, logs, greedy).rstrip("\n")
    text = Elements(page).text
    for method in found["methods"]:
        assert f"{100 * method['metrics']['accuracy']['mean']:.1f} %" in text
        assert method["title"] in text


def test_intervals_of_accuracies(comparison: Any) -> None:
    """Wilson's, over the problems of one seed: its ends are the shares p that lie 1.96 of their own standard errors from the
    measured share."""
    for method in results(comparison.folder)["methods"]:
        right = [
            row.right for row in read_records(comparison.method(method["name"]) / "measure" / "verdicts.jsonl", JudgedResponse)
        ]
        low, high = method["metrics"]["accuracy"]["ci95_problems"]
        assert 0 <= low <= fmean(right) <= high <= 1
        for end in (low, high):
            assert abs(end - fmean(right)) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / len(right)), abs=1e-6)


def test_differences_from_the_baselines(comparison: Any) -> None:
    found = results(comparison.folder)
    right = {
        name: [row.right for row in read_records(comparison.method(name) / "measure" / "verdicts.jsonl", JudgedResponse)]
        for name in small_comparison.METHODS
    }
    for method in found["methods"]:
        assert set(method["differences"]) == set(VFT) - {method["name"]}
        for baseline, paired in method["differences"].items():
            assert paired["difference"] == pytest.approx(fmean(right[method["name"]]) - fmean(right[baseline]))
            assert paired["ci95"][0] <= paired["difference"] <= paired["ci95"][1]
            assert paired["p_value_holm"] >= paired["p_value"]
            assert (paired["num_seeds"], paired["sd_over_seeds"]) == (1, None)
    assert {method["title"] for method in found["methods"]} >= {"VFT, same compute", "DPO-BC, beta 20", "AFT-BC, rounds 2"}


def test_methods_differ_where_they_should(comparison: Any) -> None:
    """No two of them are the same model under two names, and the automatic beta is the one that was trained with."""
    perplexities = [row["reference_perplexity"] for row in rows(comparison.folder).values()]
    assert len(set(perplexities)) == len(small_comparison.METHODS)
    chosen = summary(comparison.method("aft-bc:beta=auto"), "align")["beta"]
    betas = {name: row["beta"] for name, row in rows(comparison.folder).items()}
    assert betas["aft-bc:beta=auto"] == str(chosen)
    assert (betas["dpo-bc:beta=20"], betas["aft"], betas["vft"]) == ("20.0", "0.15", "")


def made_results(
    folder: Path, monkeypatch: pytest.MonkeyPatch, right: dict[str, list[list[bool]]], *, same_problems: bool
) -> dict[str, Any]:
    """Results of made-up verdicts, by method and seed."""
    wanted = runs.comparison(small_comparison.recipe(folder), list(right), len(next(iter(right.values()))))

    def row(wanted: runs.Comparison, method: Any, seed: int, shared: Any) -> dict[str, Any]:
        place, verdicts = wanted.method_recipe(method, seed).run_dir, right[method.name][seed]
        write_records(
            place / "measure" / "verdicts.jsonl",
            [
                JudgedResponse(problem_id=f"p{i}", text="", right=ok, reason="", finish_reason="stop")
                for i, ok in enumerate(verdicts)
            ],
        )
        return {"method": method.name, "seed": seed, "folder": str(place), "num_problems": 4, "accuracy": fmean(verdicts)}

    for seed in wanted.seeds:
        test = folder / f"seed-{seed}" / "prepare" / "test.jsonl"
        test.parent.mkdir(parents=True)
        test.write_text("same" if same_problems else f"{seed}")
    monkeypatch.setattr(outcome, "_run", row)
    monkeypatch.setattr(runner, "plan", lambda *arguments: [])
    return outcome.gather(wanted)


@pytest.mark.parametrize(("same_problems", "p_value"), [(False, 0.125), (True, 0.5)])
def test_summary_over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_problems: bool, p_value: float) -> None:
    """AFT minus VFT: seeds .75 - .25, .5 - .25, .75 - .5, that is .5, .25, .25: mean 1/3, standard deviation sqrt((1/36 + 2 / 144)
    / 1 / 2) = 0.1443. AFT alone is right 4 times (problems 1, 2; 1; 1), VFT never: exact test over 4 discordant answers
    2 / 2^4 = .125; over the problems 1 and 2, which are the same for all seeds, 2 / 2^2 = .5. Holm's is the same: one method.
    """
    yes, no = True, False
    right = {
        "vft": [[yes, no, no, no], [yes, no, no, no], [yes, no, yes, no]],
        "aft": [[yes, yes, yes, no], [yes, yes, no, no], [yes, yes, yes, no]],
    }
    found = made_results(tmp_path, monkeypatch, right, same_problems=same_problems)
    vft, aft = found["methods"]
    assert aft["metrics"]["accuracy"]["values"] == [0.75, 0.5, 0.75]
    assert aft["metrics"]["accuracy"]["mean"] == pytest.approx(2 / 3)
    assert aft["metrics"]["accuracy"]["sd"] == pytest.approx(0.25 / math.sqrt(3))
    assert "num_problems" not in aft["metrics"]
    paired = aft["differences"]["vft"]
    assert paired["difference"] == pytest.approx(1 / 3)
    assert paired["sd_over_seeds"] == pytest.approx(0.1443, abs=1e-4)
    assert (paired["p_value"], paired["p_value_holm"]) == pytest.approx((p_value, p_value))
    assert vft["differences"] == {}
    assert found["correlation"] is None


def test_holm_counts_the_methods_that_were_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4 problems VFT has none right; p of 4, 3 and 0 right is 2 / 2^4, 2 / 2^3 and 1, times 3, 2 and 1, cut off at 1."""
    right = {name: [[place < number for place in range(4)]] for name, number in (("vft", 0), ("aft", 4), ("pro", 3), ("dpo", 0))}
    found = made_results(tmp_path, monkeypatch, right, same_problems=False)
    paired = [method["differences"]["vft"] for method in found["methods"][1:]]
    assert [item["p_value"] for item in paired] == pytest.approx([0.125, 0.25, 1.0])
    assert [item["p_value_holm"] for item in paired] == pytest.approx([0.375, 0.5, 1.0])


def test_correlation_over_methods(comparison: Any) -> None:
    """Pearson's r from the means of the methods, by its definition."""
    found = results(comparison.folder)
    names = ("accuracy", "assessment_accuracy")
    columns = [[method["metrics"][name]["mean"] for method in found["methods"]] for name in names]
    x, y = ([value - fmean(column) for value in column] for column in columns)
    r = sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))
    assert found["correlation"]["r"] == pytest.approx(r)
    assert found["correlation"]["num_methods"] == len(small_comparison.METHODS)


def test_table_of_methods(comparison: Any, tmp_path: Path) -> None:
    from rich.console import Console

    with open(tmp_path / "table.txt", "w") as file:
        print_table(results(comparison.folder), Console(file=file, width=200))
    text = (tmp_path / "table.txt").read_text()
    assert "arithmetic, seed 0" in text
    assert re.search(r"minus VFT,.*\n.* same steps ", text)  # on two lines: 80 columns are enough
    lines = {line.partition("  ")[0].strip(): line.split() for line in text.splitlines()}
    for row, method in zip(results(comparison.folder)["runs"], results(comparison.folder)["methods"], strict=True):
        cells = lines[method["title"]]
        assert f"{100 * row['accuracy']:.1f}" in cells
        assert cells[-1] == f"{row['reference_perplexity']:.3f}"


def test_side_by_side_gives_the_same_figures(comparison: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with one thread each, as here; on top of the same shared stages."""
    names = ["vft-steps", "dpo"]
    comparison.clone(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    wanted, lines = runs.comparison(small_comparison.recipe(tmp_path), names), list[str]()
    assert runs.run(wanted, 2, lines.append) == []
    outcome.write(wanted, outcome.gather(wanted))
    assert sum("[green]done" in line for line in lines) == 4
    assert list(rows(tmp_path)) == names
    for name in names:
        assert untimed(rows(tmp_path)[name]) == untimed(rows(comparison.folder)[name])


def recipe_file(folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"run_dir": str(folder / "run"), **small_comparison.SETTINGS}))
    return path


@pytest.mark.filterwarnings("ignore:LlamaForCausalLM")  # what is said of a model without finite numbers
def test_a_run_that_fails_leaves_the_others_finished(comparison: Any, tmp_path: Path) -> None:
    """PRO cannot make its folder, and AFT trains itself to pieces; VFT and the control are finished before and after them."""
    comparison.clone(tmp_path / "run", ["vft"])
    (tmp_path / "run" / "seed-0" / "methods" / "pro").write_text("in the way")
    wild = "aft:learning_rate=1.0e+9:num_epochs=1"
    command = ["compare", str(recipe_file(tmp_path)), "--methods", f"vft,pro,{wild},vft-steps"]
    outcome = CliRunner().invoke(app, command)
    assert outcome.exit_code == 1, outcome.output
    (line,) = outcome.stderr.strip().splitlines()
    assert line.startswith("aftune: error: 2 of 5 runs failed; the first: seed 0, pro: run_dir: ")
    (said,) = [line for line in outcome.stdout.splitlines() if line.startswith(f"seed 0, {wild}: ")]
    assert "in step 2: the norm of the gradients is nan; training has diverged: lower" in said
    assert set(rows(tmp_path / "run")) == {"vft", "vft-steps"}
    assert untimed(rows(tmp_path / "run")["vft-steps"]) == untimed(rows(comparison.folder)["vft-steps"])
    assert [method["num_seeds"] for method in results(tmp_path / "run")["methods"]] == [1, 0, 0, 1]


def test_failed_shared_stages_fail_their_seed(tmp_path: Path) -> None:
    """The message is theirs, and the methods of the seed do not start."""
    (tmp_path / "seed-1").write_text("in the way")
    (tmp_path / "seed-0").write_text("in the way")
    wanted, lines = runs.comparison(small_comparison.recipe(tmp_path), ["vft", "aft"], 2), list[str]()
    failures = runs.run(wanted, 1, lines.append)
    assert sorted(failure.what for failure in failures) == ["seed 0, shared stages", "seed 1, shared stages"]
    assert all("cannot be written to" in failure.message for failure in failures)
    begun = [line for line in lines if "runs done" in line]
    assert begun == [f"[bold]seed {seed}, shared stages[/bold]  {done} of 6 runs done" for seed, done in ((0, 0), (1, 3))]
    assert outcome.gather(wanted)["runs"] == []
    outcome.write(wanted, outcome.gather(wanted))


def killed(folder: Path, methods: Sequence[str], place: str, calls: int) -> None:
    assert own_processes.exit_status(small_comparison.main, folder, methods, place, calls) == -signal.SIGKILL


def test_killed_in_the_middle_ends_with_the_figures_of_an_unbroken_comparison(comparison: Any, tmp_path: Path) -> None:
    """In the shared candidates after the first of two blocks, and in DPO after the third of four steps; one epoch is two steps,
    so a checkpoint is there."""
    names = ["dpo", "vft"]
    killed(tmp_path, names, "seed-0/sample", 1)
    assert len(read_records(tmp_path / "seed-0" / "sample" / "candidates.jsonl", Candidate)) == 18
    killed(tmp_path, names, "dpo/align", 3)
    assert [path.name for path in (tmp_path / "seed-0" / "methods" / "dpo" / "align" / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert statuses(runs.comparison(small_comparison.recipe(tmp_path), names))["dpo"] == ["resume", "new"]
    assert small_comparison.run(runs.comparison(small_comparison.recipe(tmp_path), names)) == []
    for name in names:
        assert untimed(rows(tmp_path)[name]) == untimed(rows(comparison.folder)[name])


def test_killed_workers_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run can be given to a pool that lost a process: the comparison ends at once and can be gone on with."""

    class Broken(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool("a child process terminated abruptly"))
            return future

    @contextmanager
    def broken(jobs: int) -> Any:
        yield Broken()

    monkeypatch.setattr(runs, "executor", broken)
    with pytest.raises(BrokenProcessPool) as caught:
        small_comparison.run(runs.comparison(small_comparison.recipe(tmp_path), ["vft"]), jobs=2)
    assert str(diagnose(caught.value)).startswith("a worker process was killed, often for lack of memory; lower compare.jobs")
