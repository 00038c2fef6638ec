"""Which responses of a group a method trains on, and what each of them is for."""

from typing import Any

import pytest

from aftune.common.errors import DataError
from aftune.prompts.encoding import encode_response
from aftune.records import Candidate, Feedback, Group, Problem
from aftune.training import AlignmentConfig
from aftune.training.trainer import encode_for_training

REFERENCE = "2+3=5\n5+1=6\n#### 6"
# Index, text, quality and rank. Candidate 1 was dropped by labelling. Right: 0, 3 (with the equations of 0), 4 (those of the
# reference) and 5.
CANDIDATES = (
    (0, "1+5=6\n#### 6", 1.0, 2.0),
    (2, "2+3=4\n#### 4", 0.0, 0.2),
    (3, "That is 1+5=6.\n#### 6", 1.0, 2.0),
    (4, "First 2+3=5, then 5+1=6\n#### 6", 1.0, 2.0),
    (5, "3+3=6\n#### 6", 1.0, 2.0),
    (6, "2+3=5\n#### 5", 0.0, 0.6),
)


def group(*places: int) -> Group:
    chosen = [CANDIDATES[place] for place in places or range(len(CANDIDATES))]
    return Group(
        problem=Problem(id="p", task="t", question="q", gold_answer="6", rationale=REFERENCE),
        candidates=[Candidate(problem_id="p", index=index, text=text) for index, text, _, _ in chosen],
        feedback=[Feedback(quality=quality, rank=rank, reason="") for _, _, quality, rank in chosen],
    )


def encoded(tokenizer: Any, tmp_path: Any, source: Group, reference: str | None = REFERENCE, **settings: Any) -> Any:
    args = AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, **settings)
    return encode_for_training(source, args, tokenizer, prompt="Q", reference=reference)


def ids(tokenizer: Any, *places: int) -> list[list[int]]:
    return [encode_response(tokenizer, text) for text in (REFERENCE, *(CANDIDATES[place][1] for place in places))]


@pytest.mark.parametrize(
    ("settings", "positives"),
    [
        ({}, [0, 4]),
        ({"max_positives": 1}, [0]),
        ({"max_positives": 5}, [0, 4]),
        ({"max_positives": 0}, []),
        ({"num_candidates": 5}, [0]),  # indices 0 to 4
        ({"num_candidates": 6}, [0, 4]),
        ({"num_candidates": 6, "max_positives": 1}, [0]),
    ],
)
def test_rft(tokenizer: Any, tmp_path: Any, settings: dict[str, Any], positives: list[int]) -> None:
    """The reference and one positive for each list of equations, all in the VFT loss and none in the alignment loss."""
    found = encoded(tokenizer, tmp_path, group(), alignment_weight=0.0, sft_on="positives", **settings)
    assert found.response_ids == ids(tokenizer, *positives)
    assert found.in_sft == [True] * (1 + len(positives))
    assert found.qualities == [None] * (1 + len(positives))
    assert found.num_trained_tokens == found.num_tokens


def test_vft_is_the_reference_alone(tokenizer: Any, tmp_path: Any) -> None:
    found = encoded(tokenizer, tmp_path, group(), alignment_weight=0.0)
    assert (found.response_ids, found.in_sft, found.qualities) == (ids(tokenizer), [True], [None])


def test_positives_and_alignment_together(tokenizer: Any, tmp_path: Any) -> None:
    """With both losses every candidate is there; 0 and 5 are in the VFT loss too."""
    found = encoded(tokenizer, tmp_path, group(), sft_on="positives")
    assert found.response_ids == ids(tokenizer, *range(6))
    assert found.in_sft == [True, True, False, False, False, True, False]
    assert found.qualities == [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    apart = encoded(tokenizer, tmp_path, group(), sft_on="positives", reference_is_candidate=False)
    assert (apart.in_sft, apart.qualities) == (found.in_sft, [None, *found.qualities[1:]])


@pytest.mark.parametrize(("number", "places"), [(None, range(6)), (1, [0]), (2, [0]), (3, [0, 1]), (6, range(5)), (99, range(6))])
def test_only_the_first_samples(tokenizer: Any, tmp_path: Any, number: int | None, places: Any) -> None:
    """The first so many that were sampled: those that labelling dropped count."""
    found = encoded(tokenizer, tmp_path, group(), num_candidates=number)
    assert found.response_ids == ids(tokenizer, *places)
    assert found.qualities == [1.0, *(CANDIDATES[place][2] for place in places)]
    assert found.in_sft == [True] + [False] * len(places)


def test_ranking_feedback(tokenizer: Any, tmp_path: Any) -> None:
    """By rank the two wrong candidates are a pair too; the reference ties with what is right."""
    assert encoded(tokenizer, tmp_path, group(1, 5), feedback="ranking").qualities == [2.0, 0.2, 0.6]
    assert encoded(tokenizer, tmp_path, group(1, 5)).qualities == [1.0, 0.0, 0.0]
    unranked = group(1, 5)
    unranked.feedback[1].rank = None
    with pytest.raises(DataError, match="p: candidate 6 has no rank"):
        encoded(tokenizer, tmp_path, unranked, feedback="ranking")


def test_what_is_left_out_keeps_the_pairs_of_the_rest(tokenizer: Any, tmp_path: Any) -> None:
    """Of the first sample alone, which is right, nothing is to be learnt but the reference: tokens for the same compute."""
    whole, first = (encoded(tokenizer, tmp_path, group(), num_candidates=number) for number in (None, 1))
    assert whole.num_trained_tokens == whole.num_tokens
    assert first.num_trained_tokens == len(first.prompt_ids) + len(first.response_ids[0])
