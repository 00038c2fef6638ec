"""Log-probabilities under a reference policy belong to responses by name, not by place."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError
from aftune.prompts.encoding import encode_group
from aftune.records import Candidate, Feedback, Group, GroupLogprobs, Problem
from aftune.scoring import group_logprobs
from aftune.training import AlignmentConfig, AlignmentTrainer
from aftune.training.trainer import Prompter

# As an importer reads them: candidate 5 comes first in its file. Texts differ in length, so that no two have one log-probability.
CANDIDATES = ((5, "It is certainly twelve hundred and four.", 0.0), (0, "It is 4.", 1.0), (1, "Perhaps it is 5.", 0.0))


def groups(order: tuple[int, ...] = (0, 1, 2)) -> list[Group]:
    made = []
    for n in range(2):
        chosen = [CANDIDATES[place] for place in order]
        made.append(
            Group(
                problem=Problem(id=f"p{n}", task="t", question=f"What is {n}+4?", gold_answer="4", rationale=f"{n}+4=4\n#### 4"),
                candidates=[Candidate(problem_id=f"p{n}", index=index, text=text) for index, text, _ in chosen],
                feedback=[Feedback(quality=quality, reason="matched" if quality else "different") for _, _, quality in chosen],
            )
        )
    return made


def written(model: Any, tokenizer: Any, of: list[Group]) -> list[GroupLogprobs]:
    """What the stage `reference` writes: of all responses, the reference first."""
    prompter = Prompter(tokenizer)
    encoded = [encode_group(tokenizer, group, prompter(group.problem), reference=group.problem.rationale) for group in of]
    return [
        GroupLogprobs(problem_id=group.problem_id, sums=item.sums, lengths=item.lengths, indices=group.indices)
        for group, item in zip(encoded, group_logprobs(model, encoded), strict=True)
    ]


def trainer(model: Any, tokenizer: Any, folder: Path, of: list[Group], given: Any) -> AlignmentTrainer:
    args = AlignmentConfig(
        output_dir=str(folder),
        loss="dpo",
        constraint="none",
        num_candidates=2,
        max_steps=1,
        per_device_train_batch_size=2,
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
    )
    return AlignmentTrainer(deepcopy(model), args, of, tokenizer, reference_logprobs=given)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("form", ["records", "lists", "computed"])
def test_imported_candidates_start_at_ln_2(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, order: tuple[int, ...], form: str
) -> None:
    """Indices 5, 0, 1 in any order, of which 0 and 1 are trained on: model and reference are the same, so every pair has
    log(1 + exp(0)); those of candidate 5 in place of another would give another loss."""
    model, of = make_llama(seed=1), groups(order)
    records = written(model, tokenizer, of)
    given = {"records": records, "lists": [record.sums for record in records], "computed": None}[form]
    run = trainer(model, tokenizer, tmp_path, of, given)
    run.train()
    assert run.state.log_history[0]["alignment_loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:1], r"reference_logprobs: 1 given, 2 expected; give one entry for each group"),
        (lambda rows: rows[::-1], r"p0: .* are given for p1; give one entry for each group"),
        (
            lambda rows: [rows[0].model_copy(update={"indices": [None, 5, 0, 2]}), rows[1]],
            r"p0: .* candidate 1 should occur once in the group and once in what is given, but the counts are 1 and 0;",
        ),
        (
            lambda rows: [rows[0], rows[1].model_copy(update={"indices": [None, 0, 0, 1]})],
            r"p1: .* candidate 0 should occur once in the group and once in what is given, but the counts are 1 and 2;",
        ),
        (
            lambda rows: [rows[0].model_copy(update={"lengths": [9, 9, 9, 9]}), rows[1]],
            r"p0: .* has length \d+, but length 9 in what is given",
        ),
        (lambda rows: [rows[0].model_copy(update={"indices": [None, 0, 1]}), rows[1]], r"p0: .* 4 given, 3 with an index"),
        (
            lambda rows: [rows[0].sums[:3], rows[1].sums],
            r"p0: log-probabilities .*: 3 given, 4 expected: one for the reference, then one for each of its candidates",
        ),
        (lambda rows: [[*rows[0].sums, -1.0], rows[1].sums], r"p0: log-probabilities .*: 5 given, 4 expected"),
    ],
)
def test_a_mismatch_is_an_error_before_training(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    model, of = make_llama(seed=1), groups()
    with pytest.raises(DataError, match=message):
        trainer(model, tokenizer, tmp_path, of, change(written(model, tokenizer, of)))


def test_groups_that_a_caller_tokenised_take_as_many_as_they_have(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    """They have no indices: a number for each response, no more and no less."""
    model = make_llama(seed=1)
    prompter = Prompter(tokenizer)
    encoded = [
        replace(encode_group(tokenizer, group, prompter(group.problem), reference=group.problem.rationale), indices=None)
        for group in groups()
    ]
    sums = [item.sums for item in group_logprobs(model, encoded)]
    run = trainer(model, tokenizer, tmp_path, encoded, sums)  # type: ignore[arg-type]
    run.train()
    assert run.state.log_history[0]["alignment_loss"] == pytest.approx(math.log(2), abs=1e-5)
    for wrong in (sums[0][:3], [*sums[0], -1.0]):
        with pytest.raises(DataError, match=rf"p0: .* {len(wrong)} given, 4 expected, one for each response in training"):
            trainer(model, tokenizer, tmp_path, encoded, [wrong, sums[1]])  # type: ignore[arg-type]
