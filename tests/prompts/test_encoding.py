"""Prompts and responses as token ids."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest

from aftune.common.errors import DataError, UsageError
from aftune.prompts.encoding import (
    EncodedGroup,
    Roles,
    check_lengths,
    encode_candidate,
    encode_group,
    encode_prompt,
    encode_response,
    too_long,
)
from aftune.records import Candidate, Feedback, Group, Problem

PROMPT = "Question: Tom has 3 apples.\nAnswer:\n"


def with_ends(tokenizer: Any, *, bos: bool, eos: bool) -> Any:
    """A copy whose own post-processing adds these tokens to every text."""
    from tokenizers import processors

    changed = deepcopy(tokenizer)
    ids = {"<s>": tokenizer.bos_token_id, "</s>": tokenizer.eos_token_id}
    template = f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}"
    changed.backend_tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=list(ids.items()))
    return changed


@pytest.fixture(params=["bundled", "no bos", "bos and eos", "eos only", "pad is eos", "no pad"])
def any_tokenizer(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    """Tokenizers as they come from the Hub."""
    if request.param == "bundled":
        return tokenizer
    if request.param in ("pad is eos", "no pad"):
        changed = deepcopy(tokenizer)
        changed.pad_token = tokenizer.eos_token if request.param == "pad is eos" else None
        return changed
    return with_ends(tokenizer, bos=request.param == "bos and eos", eos="eos" in request.param)


def candidate(text: str, token_ids: list[int] | None = None, finish: str = "stop", index: int = 0) -> Candidate:
    return Candidate(problem_id="p", index=index, text=text, token_ids=token_ids, finish_reason=finish)


def group(candidates: Sequence[Candidate], qualities: Sequence[float]) -> Group:
    return Group(
        problem=Problem(id="p", task="t", question="q", gold_answer="1"),
        candidates=list(candidates),
        feedback=[Feedback(quality=quality, reason="") for quality in qualities],
    )


def test_joined_ids_are_prompt_and_response_with_one_end_each(any_tokenizer: Any, tokenizer: Any) -> None:
    has_bos = any_tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (PROMPT, "3+4=7", " 8")]
    group_of_two = group([candidate("3+4=7"), candidate(" 8", finish="length", index=1)], [1, 0])
    encoded = encode_group(any_tokenizer, group_of_two, PROMPT, reference=None)
    assert encoded.prompt_ids == [tokenizer.bos_token_id] * has_bos + plain[0]
    assert encoded.response_ids == [[*plain[1], tokenizer.eos_token_id], plain[2]]
    joined = encoded.prompt_ids + encoded.response_ids[0]
    assert joined.count(tokenizer.bos_token_id) == has_bos
    assert joined.count(tokenizer.eos_token_id) == 1


def test_boundary_does_not_depend_on_the_text(tokenizer: Any) -> None:
    """Tokenised as one text, the prompt's last and the response's first letters become one token; joined as ids they stay."""
    prompt, response = "Ans", "wer"
    whole = tokenizer(prompt + response)["input_ids"]
    assert len(whole) == 2  # with the first token: `Answer` is one
    ids = encode_prompt(tokenizer, prompt) + encode_response(tokenizer, response, complete=False)
    assert ids != whole
    assert tokenizer.decode(ids) == "<s>Answer"


@pytest.mark.parametrize("text", ["", "a", "12+30=42", "naïve — 日本語 🙂", "two\n\nlines\t"])
def test_any_text_survives_encoding(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(encode_response(tokenizer, text, complete=False)) == text


def test_ids_of_the_engine_win_over_the_text(tokenizer: Any) -> None:
    assert encode_candidate(tokenizer, candidate("anything", [5, 6])) == [5, 6, tokenizer.eos_token_id]
    assert encode_candidate(tokenizer, candidate("anything", [5, 6], "length")) == [5, 6]
    assert encode_candidate(tokenizer, candidate("ab")) == encode_response(tokenizer, "ab")
    assert encode_candidate(tokenizer, candidate("ab", finish="length")) == encode_response(tokenizer, "ab")[:-1]


def test_empty_response(tokenizer: Any) -> None:
    """Complete, it is its end token alone; cut off, nothing is left of it to score."""
    assert encode_candidate(tokenizer, candidate("")) == [tokenizer.eos_token_id]
    assert encode_candidate(tokenizer, candidate("", [])) == [tokenizer.eos_token_id]
    for empty in (candidate("", finish="length"), candidate("x", [], "length")):
        with pytest.raises(DataError, match="p: response 0 is empty"):
            encode_group(tokenizer, group([empty], [0]), PROMPT, reference=None)


def test_reference_comes_first_and_is_the_sft_response(tokenizer: Any) -> None:
    encoded = encode_group(tokenizer, group([candidate("a"), candidate("b", index=1)], [1, 0]), PROMPT, reference="ref")
    assert [tokenizer.decode(ids) for ids in encoded.response_ids] == ["ref</s>", "a</s>", "b</s>"]
    assert encoded.in_sft == [True, False, False]
    assert encoded.qualities == [None, 1.0, 0.0]


def test_group_without_reference(tokenizer: Any) -> None:
    encoded = encode_group(
        tokenizer, group([candidate("a")], [0]), PROMPT, reference=None, roles=Roles(reference_is_candidate=True)
    )
    assert encoded.in_sft == [False]
    assert encoded.qualities == [0.0]


@pytest.mark.parametrize(("qualities", "expected"), [([0, 0], 1.0), ([1, 0], 1.0), ([-3, -2], 1.0), ([5, 7.5], 7.5)])
def test_reference_as_candidate_has_the_best_quality(tokenizer: Any, qualities: list[float], expected: Any) -> None:
    members = group([candidate("a"), candidate("b", index=1)], qualities)
    encoded = encode_group(tokenizer, members, PROMPT, reference="ref", roles=Roles(reference_is_candidate=True))
    assert encoded.qualities == [expected, *map(float, qualities)]


def test_reference_that_is_a_candidate_already_does_not_join_twice(tokenizer: Any) -> None:
    members = group([candidate("a"), candidate("ref", index=1)], [0, 1])
    encoded = encode_group(tokenizer, members, PROMPT, reference="ref", roles=Roles(reference_is_candidate=True))
    assert encoded.qualities == [None, 0.0, 1.0]
    assert encoded.in_sft == [True, False, False]


def test_check_lengths_counts_the_longest_response() -> None:
    encoded = EncodedGroup("p/3", [1] * 10, [[5] * 4, [5] * 7], [True, False], [None, 0.0])
    check_lengths(encoded, 17)
    with pytest.raises(DataError, match=r"p/3: prompt and response have 17 tokens, the model's context is 16"):
        check_lengths(encoded, 16)


def test_too_long_names_what_does_not_fit(tokenizer: Any) -> None:
    problem = Problem(id="p/7", task="t", question="q", gold_answer="1")
    prompt, reference = "a b c", "1 2"
    num_prompt, num_both = len(encode_prompt(tokenizer, prompt)), len(encode_prompt(tokenizer, prompt)) + 3 + 1
    assert too_long(tokenizer, problem, prompt, reference, num_both) is None
    assert too_long(tokenizer, problem, prompt, None, num_prompt + 1) is None
    assert too_long(tokenizer, problem, prompt, reference, num_both - 1) == (
        f"p/7: question and reference have {num_both} tokens, the model's context is {num_both - 1}"
    )
    assert too_long(tokenizer, problem, prompt, None, num_prompt) == (
        f"p/7: the question has {num_prompt} tokens, the model's context is {num_prompt}"
    )


def ranked(ranks: Sequence[float | None], qualities: Sequence[float]) -> Group:
    members = group([candidate(text, index=index) for index, text in enumerate("abcd"[: len(ranks)])], qualities)
    feedback = [f.model_copy(update={"rank": rank}) for f, rank in zip(members.feedback, ranks, strict=True)]
    return members.model_copy(update={"feedback": feedback})


def test_positives_join_the_sft_responses(tokenizer: Any) -> None:
    members = group([candidate(text, index=index) for index, text in enumerate("abc")], [1, 0, 1])
    encoded = encode_group(tokenizer, members, PROMPT, reference="ref", roles=Roles(imitated=[2, 0]))
    assert encoded.in_sft == [True, True, False, True]
    assert encoded.qualities == [None, 1.0, 0.0, 1.0]
    assert encode_group(tokenizer, members, PROMPT, reference=None, roles=Roles(imitated=[1])).in_sft == [False, True, False]
    assert encode_group(tokenizer, members, PROMPT, reference="ref").in_sft == [True, False, False, False]


@pytest.mark.parametrize("place", [3, -1])
def test_positive_that_is_no_candidate_is_an_error(tokenizer: Any, place: int) -> None:
    members = group([candidate(text, index=index) for index, text in enumerate("abc")], [1, 0, 1])
    with pytest.raises(UsageError, match=rf"p: imitated has {place}, expected 0 <= place < 3"):
        encode_group(tokenizer, members, PROMPT, reference=None, roles=Roles(imitated=[place]))


@pytest.mark.parametrize(
    ("ranks", "best"),
    [([2.0, 0.3, 0.9], 2.0), ([0.1, 0.3, 0.9], 2.0), ([3.0, 2.5, 1.0], 3.0), ([-1.0, -2.0, -3.0], 2.0)],
)
def test_ranks_stand_for_qualities(tokenizer: Any, ranks: list[float], best: float) -> None:
    """The reference ties with a right candidate (2.0 by the rule) or with the best one, and is above all others."""
    members = ranked(ranks, [1, 0, 0])
    assert encode_group(tokenizer, members, PROMPT, reference="ref", roles=Roles(use_ranks=True)).qualities == [None, *ranks]
    encoded = encode_group(tokenizer, members, PROMPT, reference="ref", roles=Roles(use_ranks=True, reference_is_candidate=True))
    assert encoded.qualities == [best, *ranks]
    binary = encode_group(tokenizer, members, PROMPT, reference="ref", roles=Roles(reference_is_candidate=True))
    assert binary.qualities == [1.0, 1.0, 0.0, 0.0]


def test_missing_rank_is_named(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="p: candidate 1 has no rank"):
        encode_group(tokenizer, ranked([0.5, None], [0, 0]), PROMPT, reference=None, roles=Roles(use_ranks=True))


@pytest.mark.parametrize(
    ("in_sft", "qualities", "expected"),
    [
        ([True, False, False], [None, 1.0, 0.0], 18),  # 3 + 4 + 5 + 6: a pair, so all are computed
        ([True, False, False], [1.0, None, 0.0], 18),
        ([True, False, False], [1.0, 1.0, 1.0], 7),  # no pair: prompt and reference
        ([True, False, False], [None, None, 0.0], 7),
        ([True, True, False], [None, None, None], 12),  # a positive of RFT too
        ([False, False, False], [None, 0.5, 0.5], 3),
    ],
)
def test_tokens_that_a_loss_can_use(in_sft: list[bool], qualities: list[float | None], expected: int) -> None:
    """A prompt of 3 tokens, responses of 4, 5 and 6."""
    encoded = EncodedGroup("p", [1] * 3, [[5] * 4, [5] * 5, [5] * 6], in_sft, qualities)
    assert encoded.num_tokens == 18
    assert encoded.num_trained_tokens == expected
