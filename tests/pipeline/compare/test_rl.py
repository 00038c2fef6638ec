"""GRPO and RLOO in a comparison, by TRL on the bundled model: as many responses as promised, rewards that are verdicts, the same
model from the same seed, and pages with both."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

import small_comparison
from aftune.cli.main import app
from aftune.common import interrupts
from aftune.common.errors import UsageError
from aftune.pipeline import machine_checks
from aftune.pipeline.compare import runs
from aftune.pipeline.compare.methods import parse
from aftune.pipeline.compare.results import gather, write
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.stages import rl
from aftune.pipeline.warning_signs import of_rl
from aftune.recipe import Recipe
from aftune.records import Problem, read_records
from aftune.tasks.arithmetic import Arithmetic
from html_page import plots

pytest.importorskip("trl", reason="TRL is not installed: pip install 'aftune[trl]'")
pytestmark = pytest.mark.xdist_group("rl")  # its fixture is slow to make, so one process runs it all

RL = {"learning_rate": 1e-3, "batch_size": 3}
FEW = {"train": "train[:3]", "validation": "validation[:2]", "test": "test[8:10]"}
METHODS = ["vft", "vft-steps", "grpo", "rloo", "grpo:kl_weight=0.5"]


def recipe(folder: Path, **sections: Any) -> Recipe:
    return small_comparison.recipe(folder, **({"rl": RL, "evaluate": {"num_votes": 0}} | sections))


@pytest.fixture(scope="module")
def judged() -> list[tuple[str, str, float]]:
    """Every verdict that the comparison below asked for while it trained: problem, response, reward."""
    return []


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, judged: list[tuple[str, str, float]]) -> Path:
    """A finished comparison; the first of its methods after VFT was trained with every verdict written down."""
    folder = tmp_path_factory.mktemp("rl")
    with pytest.MonkeyPatch.context() as patch:
        online_trainer = rl.online_trainer

        def noted(*args: Any, reward: Any, **kwargs: Any) -> Any:
            def note(places: Any, texts: Any) -> Any:
                rewards = reward(places, texts)
                judged.extend(zip(map(str, places), texts, rewards, strict=True))
                return rewards

            return online_trainer(*args, reward=note, **kwargs)

        patch.setattr(rl, "online_trainer", noted)
        assert small_comparison.run(runs.comparison(recipe(folder), METHODS)) == []
    return folder


def run_of(folder: Path, method: str) -> Path:
    return folder / "seed-0" / "methods" / parse(method).folder


def summary(folder: Path, method: str) -> dict[str, Any]:
    found: dict[str, Any] = RunDirectory(run_of(folder, method)).entry("rl")["summary"]
    return found


def weights(folder: Path, method: str) -> dict[str, Any]:
    return load_file(run_of(folder, method) / "rl" / "model" / "model.safetensors")


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(bool((one[name] == other[name]).all()) for name in one)


def test_as_many_responses_are_sampled_as_offline_methods_have(compared: Path, judged: list[tuple[str, str, float]]) -> None:
    """8 problems x 3 responses, 3 problems a step: steps of 3, 3 and 2 problems."""
    candidates = (compared / "seed-0" / "sample" / "candidates.jsonl").read_text().count("\n")
    for method in METHODS[2:]:
        found = summary(compared, method)
        assert (found["sampled_responses"], found["optimizer_steps"]) == (candidates, 3) == (24, 3)
        assert 24 < found["sampled_tokens"] <= 24 * 64
    assert Counter(place for place, _, _ in judged[:24]) == {str(place): 3 for place in range(8)}


def test_rewards_are_the_verdicts_of_the_task(compared: Path, judged: list[tuple[str, str, float]]) -> None:
    problems = read_records(compared / "seed-0" / "prepare" / "train.jsonl", Problem)
    assert {reward for _, _, reward in judged} == {0.0, 1.0}
    for place, text, reward in judged:
        assert reward == Arithmetic().verdict(problems[int(place)], text).quality
    log = json.loads((run_of(compared, "grpo") / "rl" / "log.json").read_text())
    means = [entry["reward"] for entry in log if "reward" in entry]
    assert means == pytest.approx([sum(reward for _, _, reward in judged[i:j]) / (j - i) for i, j in ((0, 9), (9, 18), (18, 24))])


def test_prompts_are_those_of_the_run(compared: Path) -> None:
    """Prompt tokens are counted by TRL: 3 of each prompt, beside the responses."""
    from aftune.pipeline.context import context_of

    context = context_of(compared / "seed-0")
    prompts = sum(len(context.prompter(problem)) for problem in context.problems("train"))
    log = json.loads((run_of(compared, "rloo") / "rl" / "log.json").read_text())
    counted = max(entry["num_tokens"] for entry in log if "num_tokens" in entry)
    assert counted == 3 * prompts + summary(compared, "rloo")["sampled_tokens"]


def test_methods_and_settings_train_different_models(compared: Path) -> None:
    vft = load_file(compared / "seed-0" / "sft" / "model" / "model.safetensors")
    models = [vft, *(weights(compared, method) for method in METHODS[2:])]
    assert not any(same(models[i], models[j]) for i in range(len(models)) for j in range(i))
    log = json.loads((run_of(compared, "grpo:kl_weight=0.5") / "rl" / "log.json").read_text())
    assert [entry["kl"] >= 0 for entry in log if "kl" in entry] == [True] * 3


def test_the_same_seed_gives_the_same_model_even_when_interrupted(
    compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal after the first step ends it with a checkpoint, from which it goes on."""
    shutil.copytree(compared / "seed-0", tmp_path / "seed-0", ignore=shutil.ignore_patterns("methods"))
    wanted = runs.comparison(recipe(tmp_path), ["grpo"])
    monkeypatch.setattr(interrupts, "asked", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        small_comparison.run(wanted)
    assert list((run_of(tmp_path, "grpo") / "rl" / "checkpoints").glob("checkpoint-*"))
    monkeypatch.undo()
    assert small_comparison.run(wanted) == []
    assert same(weights(tmp_path, "grpo"), weights(compared, "grpo"))
    assert summary(tmp_path, "grpo") == summary(compared, "grpo")
    assert not (run_of(tmp_path, "grpo") / "rl" / "checkpoints").exists()


def test_results_and_page_show_them_beside_the_others(compared: Path) -> None:
    wanted = runs.comparison(recipe(compared), METHODS)
    results = gather(wanted)
    write(wanted, results)
    by_name = {method["name"]: method for method in results["methods"]}
    for name, title in (("grpo", "GRPO"), ("rloo", "RLOO"), ("grpo:kl_weight=0.5", "GRPO, kl weight 0.5")):
        method = by_name[name]
        assert (method["title"], method["loss"], method["constraint"], method["num_seeds"]) == (title, None, None, 1)
        assert method["metrics"]["optimizer_steps"]["mean"] == 3
        assert not {"beta", "k"} & method["metrics"].keys()
    text = (compared / "compare.html").read_text()
    assert not any(name.startswith("scores-grpo") for name in plots(text))
    assert "✚ online, no alignment loss" in text
    assert '<span class="mark mark-online"></span>GRPO, RLOO</span>' in text
    assert "var(--online)" in text.partition("<svg")[2]


def test_a_dry_run_counts_them_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(tmp_path / "run").to_yaml())
    done = CliRunner().invoke(app, ["compare", str(path), "--methods", "vft,grpo,rloo", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "GRPO" in done.output
    assert "rl.algorithm=rloo" in re.sub(r"\s", "", done.output)
    assert not (tmp_path / "run").exists()


def test_settings_after_the_name_are_those_of_rl() -> None:
    base = Recipe(run_dir=Path("runs/x"))
    assert parse("grpo").recipe(base) == base
    changed = parse("rloo:kl_weight=0.04:learning_rate=1e-5:rounds=2").recipe(base)
    own = base.rl.model_copy(update={"algorithm": "rloo", "kl_weight": 0.04, "learning_rate": 1e-5})
    assert changed == base.model_copy(update={"rounds": 2, "rl": own})
    for text, hint in (
        ("grpo:beta=0.1", "compare: 'beta=0.1' in 'grpo:beta=0.1' is not a setting; "),
        ("grpo:kl_wieght=1", "did you mean 'kl_weight'? write key=value with one of rounds, learning_rate, "),
        ("grpo:algorithm=rloo", "is not a setting; write"),
        ("aft-bc:kl_weight=1", "is not a setting; "),
    ):
        with pytest.raises(UsageError, match=re.escape(hint)):
            parse(text)
    with pytest.raises(UsageError, match=r"method grpo:kl_weight=-1: rl\.kl_weight"):
        parse("grpo:kl_weight=-1").recipe(base)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"sample": {"num_candidates": 1}},
            "sample.num_candidates: grpo compares at least 2 responses to a problem, and this is 1; ",
        ),
        ({"model": {"precision": "bfloat16", "weights": "bfloat16"}}, "model.weights: grpo trains float32 weights"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_runs(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        runs.comparison(recipe(tmp_path, **changes), ["vft", "grpo"])


def test_four_bits_and_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"adapter\.kind: grpo does not train weights in 4 bits"):
        machine_checks.check_rl(recipe(tmp_path, adapter={"kind": "qlora"}))
    monkeypatch.setattr(machine_checks.processes, "number", lambda: 2)
    with pytest.raises(UsageError, match=r"launch\.processes: grpo trains in one process, and there are 2"):
        machine_checks.check_rl(recipe(tmp_path))


def test_without_trl_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftune.common.extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"method rloo needs trl, not installed here; pip install 'aftune\[trl\]'"):
        runs.comparison(recipe(tmp_path), ["rloo"])


def test_a_run_that_cannot_have_worked_says_so() -> None:
    wanted = Recipe(run_dir=Path("runs/x"))
    alike = [{"step": step, "reward": 1.0, "frac_reward_zero_std": 1.0} for step in (1, 2)]
    (text,) = of_rl(alike, wanted)
    assert text.startswith("In no group of 6 responses did the rewards differ")
    learnt = [{"step": step, "reward": reward, "frac_reward_zero_std": 0.5} for step, reward in ((1, 0.4), (2, 0.5))]
    assert of_rl(learnt, wanted) == []
    (text,) = of_rl([{**learnt[0], "reward": 0.6}, {**learnt[1], "reward": 0.3}], wanted)
    assert text.startswith("The mean reward fell from 60")


def test_an_adapter_is_trained_and_merged(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    wanted = runs.comparison(
        recipe(tmp_path, adapter={"kind": "lora"}, task=FEW, evaluate={"num_votes": 0}), ["grpo:kl_weight=0.1"]
    )
    assert small_comparison.run(wanted) == []
    folder = run_of(tmp_path, "grpo:kl_weight=0.1") / "rl"
    assert sorted(path.name for path in (folder / "adapter").glob("*adapter*")) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert not (folder / "adapter" / "ref").exists()
    assert (folder / "model" / "model.safetensors").exists()
