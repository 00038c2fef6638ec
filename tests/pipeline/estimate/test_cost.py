"""The work of a run before it runs."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.estimate.cost import Decoding, StageCost, estimate, unfinished
from aftune.pipeline.estimate.sizes import Sizes
from aftune.pipeline.plans import plan
from aftune.recipe import Recipe


def recipe(tmp_path: Path, **sections: Any) -> Recipe:
    return Recipe.model_validate({"run_dir": str(tmp_path), **sections})


def sampled_tokens(of: Recipe) -> float:
    return next(row.num_tokens for row in estimate(of) if row.stage == "sample")


def test_a_prompt_counts_once_in_training(tmp_path: Path) -> None:
    """From 3 to 6 candidates, align costs 3 more responses a group: as much as 3 references, not 3 prompts more."""
    tokens = {k: {row.stage: row.num_tokens for row in estimate(recipe(tmp_path, sample={"num_candidates": k}))} for k in (3, 6, 9)}
    assert tokens[9]["align"] - tokens[6]["align"] == pytest.approx(tokens[6]["align"] - tokens[3]["align"])
    assert tokens[6]["align"] - tokens[3]["align"] < 3 * tokens[3]["control"]
    assert tokens[9]["sample"] - tokens[6]["sample"] == pytest.approx(tokens[6]["sample"] - tokens[3]["sample"])
    assert tokens[6]["sample"] < 2 * tokens[3]["sample"]


def tokens_by_stage(of: Recipe) -> dict[str, float]:
    tokens: dict[str, float] = defaultdict(float)
    for row in estimate(of):
        tokens[row.stage] += row.num_tokens
    return tokens


def test_every_round_samples_and_aligns(tmp_path: Path) -> None:
    """Three rounds sample and align three times and are controlled for as many steps; imported candidates stand for one round."""
    once, thrice = (tokens_by_stage(recipe(tmp_path, rounds=n)) for n in (1, 3))
    assert [thrice[stage] / once[stage] for stage in ("sft", "sample", "align", "control")] == pytest.approx([1, 3, 3, 3])
    given = {"format": "gsm8k_solutions", "path": "x.jsonl"}
    assert [sampled_tokens(recipe(tmp_path, rounds=n, candidates=given)) > 0 for n in (1, 3)] == [False, True]


def test_each_model_of_a_run_is_measured(tmp_path: Path) -> None:
    """base, VFT, control and one aligned model a round: 4 with one round, 6 with three; what they share counts once."""
    evaluate = {n: [row for row in estimate(recipe(tmp_path, rounds=n)) if row.stage == "evaluate"] for n in (1, 3)}
    shared, measured = zip(*evaluate.values(), strict=True)
    assert shared[0] == shared[1]
    assert measured[1].num_tokens / measured[0].num_tokens == pytest.approx(6 / 4)


def test_votes_and_the_reference_cost_too(tmp_path: Path) -> None:
    """Two votes are two responses more a model, and their scores."""
    plain = tokens_by_stage(recipe(tmp_path, align={"beta": 0.15}))
    more = tokens_by_stage(recipe(tmp_path, evaluate={"num_votes": 2}))
    assert "reference" not in plain
    assert more["reference"] == pytest.approx(plain["align"] / recipe(tmp_path).align.num_epochs)
    assert more["evaluate"] > 1.3 * plain["evaluate"]


def test_work_of_a_stage() -> None:
    """6 operations a parameter for each of 100 trained tokens, 2 for 50 scored and 4 x 10 sampled ones: 600 + 180 = 780."""
    work = StageCost("x", "", trained=100, scored=50, decoding=Decoding(4, 2, 10, 12))
    assert work.num_tokens == pytest.approx(190e-6)
    assert work.teraflops(1e12) == pytest.approx(780)
    assert work.decoding is not None
    assert work.decoding.num_steps == 2 * 10 + 2  # two batches, and the longest row of the last one
    assert work.at_most().decoding == Decoding(4, 2, 12.0, 12)
    assert work.at_most().num_tokens == pytest.approx(198e-6)


def test_frozen_weights_have_no_gradients_to_compute(tmp_path: Path) -> None:
    """6 operations for each weight and token: forward, gradient of the input, of the weight, 2 each; LoRA does without the last.
    Where a forward pass is computed again, because of checkpoints or since the group is computed in parts, 2 more."""
    operations = {
        (kind, checkpointing, budget): {
            row.stage: row.trained_operations
            for row in estimate(
                recipe(
                    tmp_path,
                    adapter={"kind": kind},
                    align={"gradient_checkpointing": checkpointing, "token_budget": budget},
                )
            )
            if row.trained
        }
        for kind in ("none", "lora")
        for checkpointing, budget in ((False, 4096), (True, 4096), (False, 64))
    }
    assert operations["none", False, 4096] == {"sft": 6, "align": 6, "control": 6, "rl": 6}
    assert operations["lora", False, 4096] == {"sft": 4, "align": 4, "control": 4, "rl": 4}
    assert operations["lora", True, 4096] == {"sft": 4, "align": 6, "control": 6, "rl": 4}
    assert operations["none", False, 64] == {"sft": 6, "align": 8, "control": 6, "rl": 6}
    assert StageCost("x", "", trained=100, trained_operations=4).teraflops(1e12) == pytest.approx(400)


def test_online_training_samples_and_trains_as_many_responses_as_are_sampled_offline(tmp_path: Path) -> None:
    """12 problems, 3 responses each, 5 problems a step, 2 epochs: 2 x 3 steps; as much is sampled as by `sample` in 2 rounds, but
    for the last step of an epoch, which is counted as a whole one; each response is trained on with a prompt of its own."""
    wanted = small_run.recipe(tmp_path, rl={"batch_size": 5, "num_epochs": 2})
    sizes = Sizes.of(wanted)
    sample, rl = estimate(wanted, ["sample", "rl"])
    assert sample.decoding is not None
    assert rl.decoding is not None
    assert (sample.stage, rl.stage, rl.num_steps, rl.decoding.times) == ("sample", "rl", 6, 6)
    assert rl.decoding.num_responses * rl.decoding.times == 2 * 15 * 3
    assert rl.trained == pytest.approx(2 * 12 * 3 * (sizes.prompt + min(sizes.response, 40)))
    assert rl.scored == pytest.approx(2 * sample.scored)


def test_what_is_finished_does_not_count(tmp_path: Path) -> None:
    small = small_run.recipe(tmp_path)
    runner.run_stages(small, only="prepare", report=lambda line: None)
    waiting = unfinished(plan(small, RunDirectory(tmp_path)))
    assert waiting == {"sft", "sample", "label", "align", "control", "evaluate", "report"}
    assert {row.stage for row in estimate(small, waiting - {"sft", "align"})} == {"sample", "control", "evaluate"}
