"""The reference of a comparison: what the VFT model itself says of the groups, and what DPO and the automatic beta make of it."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import small_comparison
from aftune.losses import AftLoss
from aftune.models.loading import load_model
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.stages.reference import reference
from aftune.pipeline.stages.train import align
from aftune.prompts.encoding import encode_candidate, encode_prompt, encode_response
from aftune.prompts.formats import PLAIN_PROMPT
from aftune.recipe import BUNDLED, ModelSection
from aftune.records import Group, GroupLogprobs, read_records, write_records
from aftune.training.dataset import LongestFirst
from loss_judge import plain_formula

LN2 = math.log(2)


def ids_of(tokenizer: Any, group: Group) -> tuple[list[int], list[list[int]]]:
    """Prompt and responses, the reference first."""
    assert group.problem.rationale is not None
    responses = [encode_candidate(tokenizer, candidate) for candidate in group.candidates]
    prompt = encode_prompt(tokenizer, PLAIN_PROMPT.format(question=group.problem.question))
    return prompt, [encode_response(tokenizer, group.problem.rationale), *responses]


@torch.no_grad()
def log_likelihood(model: Any, prompt: list[int], response: list[int]) -> float:
    """One sequence through the model as transformers has it, in float64 from its logits on."""
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].double()
    return float(logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None]).sum())


def context(comparison: Any, folder: Path, **sections: Any) -> Context:
    """A run of its own in `folder`, with the finished stages of the comparison."""
    for name in ("prepare", "sft", "label"):
        shutil.copytree(comparison.shared / name, folder / name)
    for name in ("reference", "align"):
        (folder / name).mkdir()
    return Context(small_comparison.recipe(folder, **sections), RunDirectory(folder))


def first_share(comparison: Any, tokenizer: Any, batch_size: int) -> float:
    """The share of groups with pairs in the first batch. The reference is the best, so a group with a wrong candidate has some."""
    groups = read_records(comparison.shared / "label" / "groups.jsonl", Group)
    encoded = [ids_of(tokenizer, group) for group in groups]
    sizes = [len(prompt) + sum(map(len, responses)) for prompt, responses in encoded]
    batch = list(LongestFirst(sizes, seed=0))[:batch_size]
    return sum(0.0 in groups[place].qualities for place in batch) / batch_size


def test_it_is_what_the_vft_model_says(comparison: Any, tokenizer: Any) -> None:
    groups = read_records(comparison.shared / "label" / "groups.jsonl", Group)
    written = read_records(comparison.shared / "reference" / "logprobs.jsonl", GroupLogprobs)
    assert [row.problem_id for row in written] == [group.problem.id for group in groups]
    model = load_model(str(comparison.shared / "sft" / "model"), ModelSection(precision="float32"))
    for group, row in zip(groups, written, strict=True):
        prompt, responses = ids_of(tokenizer, group)
        assert row.lengths == list(map(len, responses))
        assert row.sums == pytest.approx([log_likelihood(model, prompt, response) for response in responses], rel=1e-4, abs=1e-3)
    assert RunDirectory(comparison.shared).entry("reference")["summary"] == {"groups": len(groups)}


def test_with_another_start_it_is_what_the_base_model_says(comparison: Any, tokenizer: Any, tmp_path: Path) -> None:
    """And not what the VFT model says."""
    reference(context(comparison, tmp_path, align={"start": "base"}))
    groups = read_records(comparison.shared / "label" / "groups.jsonl", Group)
    written, shared = (
        read_records(folder / "reference" / "logprobs.jsonl", GroupLogprobs) for folder in (tmp_path, comparison.shared)
    )
    model = load_model(BUNDLED, ModelSection(precision="float32"))
    prompt, responses = ids_of(tokenizer, groups[0])
    assert written[0].sums == pytest.approx([log_likelihood(model, prompt, response) for response in responses], rel=1e-4, abs=1e-3)
    assert all(abs(a - b) > 0.01 for a, b in zip(written[0].sums, shared[0].sums, strict=True))


def test_dpo_starts_at_ln_2(comparison: Any, tokenizer: Any) -> None:
    """Model and reference are the same: log(1 + exp(0)) for every group with pairs, 0 for the others."""
    first = json.loads((comparison.method("dpo") / "align" / "log.json").read_text())[0]
    assert first["step"] == 1
    share = first_share(comparison, tokenizer, 4)
    assert 0 < share <= 1
    assert first["alignment_loss"] == pytest.approx(share * LN2, abs=1e-6)
    bounded = json.loads((comparison.method("dpo-bc:beta=20") / "align" / "log.json").read_text())[0]
    # log(1 + e^0 + e^(-2 beta b)): B = h_w - 20, so the added term is exp(0.1 * (2 B - h_w - h_l)) = e^-4.
    assert bounded["alignment_loss"] == pytest.approx(share * math.log(2 + math.exp(-4)), abs=1e-6)


def test_dpo_starts_at_ln_2_in_bfloat16(comparison: Any, tokenizer: Any, tmp_path: Path) -> None:
    """The reference is computed in the precision of training."""
    sections = {"model": {"precision": "bfloat16"}, "align": {"loss": "dpo", "constraint": "none", "num_epochs": 0.5}}
    run = context(comparison, tmp_path, **sections)
    reference(run)
    align(run)
    (first, _) = json.loads((tmp_path / "align" / "log.json").read_text())
    assert first["alignment_loss"] == pytest.approx(first_share(comparison, tokenizer, 4) * LN2, abs=1e-3)
    half, whole = (
        [total for row in read_records(folder / "reference" / "logprobs.jsonl", GroupLogprobs) for total in row.sums]
        for folder in (tmp_path, comparison.shared)
    )
    assert half != whole
    assert half == pytest.approx(whole, rel=0.05, abs=0.5)


def share_of_the_push(beta: float, groups: list[list[tuple[float, float, int]]]) -> float:
    """AFT's push on worse candidates with this boundary, over that without, by pairs. A group: quality, sum and length of each."""
    pushes = []
    for loss in (AftLoss("boundary", beta), AftLoss("none")):
        total = 0.0
        for group in groups:
            qualities = [quality for quality, _, _ in group]
            sums = torch.tensor([value for _, value, _ in group], dtype=torch.float64, requires_grad=True)
            lengths = torch.tensor([length for _, _, length in group])
            if len(set(qualities)) > 1:
                plain_formula(loss, sums / lengths, qualities).backward()
                total += sum(float(sums.grad[k]) for k, quality in enumerate(qualities) if quality == min(qualities))
        pushes.append(total)
    assert pushes[1] > 0
    return pushes[0] / pushes[1]


def test_the_automatic_beta_is_that_of_the_files(comparison: Any) -> None:
    """Two fifths of the push, from the qualities and the written sums; the reference is right."""
    groups = read_records(comparison.shared / "label" / "groups.jsonl", Group)
    written = read_records(comparison.shared / "reference" / "logprobs.jsonl", GroupLogprobs)
    members = [
        list(zip([1.0, *group.qualities], row.sums, row.lengths, strict=True)) for group, row in zip(groups, written, strict=True)
    ]
    chosen = RunDirectory(comparison.method("aft-bc:beta=auto")).entry("align")["summary"]["beta"]
    assert share_of_the_push(chosen, members) == pytest.approx(0.4, abs=1e-3)
    assert 0.1 < chosen < 1  # 0.35 for equal scores


def test_the_automatic_beta_is_of_what_is_trained_on(comparison: Any, tmp_path: Path) -> None:
    """By ranks of the first two samples and without the reference."""
    settings = {"beta": "auto", "auto_beta_push": 0.6, "feedback": "ranking", "num_candidates": 2, "num_epochs": 0.5}
    run = context(comparison, tmp_path, align={**settings, "reference_is_candidate": False})
    shutil.copytree(comparison.shared / "reference", tmp_path / "reference", dirs_exist_ok=True)
    groups = read_records(comparison.shared / "label" / "groups.jsonl", Group)
    written = read_records(comparison.shared / "reference" / "logprobs.jsonl", GroupLogprobs)
    members = []
    for group, row in zip(groups, written, strict=True):
        places = [place for place, candidate in enumerate(group.candidates) if candidate.index < 2]
        members.append([(float(group.ranks[place]), row.sums[place + 1], row.lengths[place + 1]) for place in places])
    assert share_of_the_push(align(run)["beta"], members) == pytest.approx(0.6, abs=1e-3)


def with_imported_indices(folder: Path) -> list[Group]:
    """Rewrites the groups as an importer's file may have them: the last candidate stands first, with index 5."""
    groups = read_records(folder / "label" / "groups.jsonl", Group)
    for group in groups:
        if len(group.candidates) > 1:
            last = group.candidates.pop().model_copy(update={"index": 5})
            group.candidates.insert(0, last)
            group.feedback.insert(0, group.feedback.pop())
    write_records(folder / "label" / "groups.jsonl", groups)
    return groups


def test_with_imported_indices_dpo_starts_at_ln_2(comparison: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Indices 5, 0, 1 with two candidates: the numbers of candidate 5 stand first in the file, and are of none in training. The
    share of groups with pairs in the first batch is that of the candidates that are left; the reference is the best of them."""
    sections = {"align": {"loss": "dpo", "constraint": "none", "num_candidates": 2, "num_epochs": 0.5}}
    run = context(comparison, tmp_path, **sections)
    groups = with_imported_indices(tmp_path)
    assert any(group.candidates[0].index == 5 for group in groups)
    reference(run)
    align(run)
    encoded = [ids_of(tokenizer, group) for group in groups]
    kept = [[place for place, one in enumerate(group.candidates) if one.index < 2] for group in groups]
    sizes = [
        len(prompt) + len(responses[0]) + sum(len(responses[place + 1]) for place in places)
        for (prompt, responses), places in zip(encoded, kept, strict=True)
    ]
    batch = list(LongestFirst(sizes, seed=0))[:4]
    share = sum(any(groups[place].qualities[one] == 0.0 for one in kept[place]) for place in batch) / 4
    assert share > 0
    first = json.loads((tmp_path / "align" / "log.json").read_text())[0]
    assert first["alignment_loss"] == pytest.approx(share * LN2, abs=1e-6)


def test_with_imported_indices_the_automatic_beta_is_of_the_right_candidates(comparison: Any, tmp_path: Path) -> None:
    """Of the reference and candidates 0 and 1, found by their indices."""
    settings = {"beta": "auto", "num_candidates": 2, "num_epochs": 0.5}
    run = context(comparison, tmp_path, align=settings)
    groups = with_imported_indices(tmp_path)
    reference(run)
    members = []
    for group, row in zip(groups, read_records(tmp_path / "reference" / "logprobs.jsonl", GroupLogprobs), strict=True):
        assert row.indices == [None, *(candidate.index for candidate in group.candidates)]
        quality = {candidate.index: feedback.quality for candidate, feedback in zip(group.candidates, group.feedback, strict=True)}
        rows = zip(row.indices, row.sums, row.lengths, strict=True)
        members.append([(quality.get(index, 1.0), total, length) for index, total, length in rows if index is None or index < 2])
    assert share_of_the_push(align(run)["beta"], members) == pytest.approx(0.4, abs=1e-3)
