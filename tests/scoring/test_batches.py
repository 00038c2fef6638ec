"""Groups as passes and rows."""

from dataclasses import replace

import hypothesis.strategies as st
import torch
from hypothesis import given

from aftune.models.kernels.shared_prefix import Segment
from aftune.prompts.encoding import EncodedGroup
from aftune.scoring import collate, make_pass
from aftune.scoring.batches import Row

GROUPS = [
    EncodedGroup("a", [1, 5], [[6, 7, 2], [8]], [True, False], [None, 0.5]),
    EncodedGroup("b", [1, 5, 9], [[4]], [False], [-2.0]),
]


def test_every_value_is_in_its_place() -> None:
    """a: tokens 0-1 prompt, 2-4 and 5 its responses; b: 6-8 prompt, 9 its response."""
    made = make_pass(GROUPS)
    assert made["response_lengths"].tolist() == [[3, 1], [1, 0]]
    assert made["in_sft"].tolist() == [[True, False], [False, False]]
    assert made["in_alignment"].tolist() == [[False, True], [True, False]]
    assert made["qualities"].tolist() == [[0.0, 0.5], [-2.0, 0.0]]
    (row,) = made["rows"]
    assert row["input_ids"].tolist() == [[1, 5, 6, 7, 2, 8, 1, 5, 9, 4]]
    assert row["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 0, 1, 2, 3]]
    assert row["segments"] == [Segment(0, 2, (3, 1)), Segment(6, 3, (1,))]
    assert row["predictors_M"].tolist() == [1, 2, 3, 1, 8]
    assert row["targets_M"].tolist() == [6, 7, 2, 8, 4]
    assert row["places_N_L"].tolist() == [[0, 1, 2], [3, 5, 5], [4, 5, 5]]
    assert row["responses_N"].tolist() == [0, 1, 2]
    assert row["needs_gradient"]


def test_without_shared_prefixes_every_response_is_a_padded_sequence() -> None:
    (row,) = make_pass(GROUPS, shared_prefix=False)["rows"]
    assert row["input_ids"].tolist() == [[1, 5, 6, 7, 2], [1, 5, 8, 0, 0], [1, 5, 9, 4, 0]]
    assert row["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]
    assert row["position_ids"].tolist() == [[0, 1, 2, 3, 4]] * 3
    assert row["segments"] is None
    assert row["input_ids"].flatten()[row["predictors_M"]].tolist() == [5, 6, 7, 5, 9]
    assert row["targets_M"].tolist() == [6, 7, 2, 8, 4]


def test_what_no_gradient_reaches_has_rows_of_its_own() -> None:
    """Of three candidates the second needs a gradient, the third a score only, the first neither."""
    group = EncodedGroup("a", [1], [[4], [5, 5], [6], [7, 7]], [False, False, False, True], [0.0, 1.0, 2.0, None])
    made = make_pass([group], needs=lambda q, mask: (mask & (q > 0), mask & (q == 1)))
    assert made["in_alignment"].tolist() == [[False, True, True, False]]
    assert [(row["responses_N"].tolist(), row["needs_gradient"]) for row in made["rows"]] == [([1, 3], True), ([2], False)]


def test_a_group_of_which_nothing_is_needed_counts_but_is_not_computed() -> None:
    batch = collate([EncodedGroup("a", [1], [[4], [5]], [False] * 2, [1.0, 1.0])], needs=lambda q, mask: (mask & False,) * 2)
    assert len(batch["problems"]) == 1
    assert batch["passes"] == []


def _groups(draw: st.DrawFn) -> list[EncodedGroup]:
    token = iter(range(10**6))
    shapes = draw(st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(1, 12), max_size=5)), min_size=1, max_size=7))
    return [
        EncodedGroup(
            str(p),
            [next(token) for _ in range(prompt)],
            [[next(token) for _ in range(length)] for length in lengths],
            [False] * len(lengths),
            [0.0] * len(lengths),
        )
        for p, (prompt, lengths) in enumerate(shapes)
    ]


@given(st.data(), st.integers(1, 60), st.booleans())
def test_nothing_is_lost_and_no_row_exceeds_the_budget(data: st.DataObject, budget: int, shared: bool) -> None:
    """All tokens are different, so each is found again: every response once, in a row of at most the budget unless it is
    alone with its prompt, each token predicted by the one before it in its own sequence."""
    groups = _groups(data.draw)
    by_first = {response[0]: (group, response) for group in groups for response in group.response_ids}
    batch = collate(groups, token_budget=budget, shared_prefix=shared)
    assert len(batch["problems"]) == len(groups)
    seen = []
    for made in batch["passes"]:
        for row in made["rows"]:
            if shared and len(row["responses_N"]) > 1:
                assert row["input_ids"].numel() <= budget
            flat, start = row["input_ids"].flatten(), 0
            for length in _lengths(row):
                response = row["targets_M"][start : start + length].tolist()
                group, expected = by_first[response[0]]
                assert response == expected
                before = flat[row["predictors_M"][start : start + length]].tolist()
                assert before == [group.prompt_ids[-1], *response[:-1]]
                seen.append(response[0])
                start += length
    assert sorted(seen) == sorted(by_first)


def _lengths(row: Row) -> list[int]:
    return (row["places_N_L"] < len(row["targets_M"])).sum(1).tolist()


def test_largest_groups_come_first() -> None:
    groups = [EncodedGroup(str(n), [1], [[4] * n], [True], [None]) for n in (3, 9, 5)]
    batch = collate(groups, token_budget=10)
    assert [made["response_lengths"].tolist() for made in batch["passes"]] == [[[9]], [[3], [5]]]
    assert torch.equal(batch["problems"], torch.arange(3))


def test_reference_log_probabilities_are_in_their_places() -> None:
    """By problem and response, 0 where there is no response; absent where no group has any."""
    groups = [replace(GROUPS[0], reference_logprobs=[-1.5, -2.5]), GROUPS[1], replace(GROUPS[1], reference_logprobs=[-7.0])]
    made = make_pass(groups)
    assert made["reference_logprob_sums"] is not None
    assert made["reference_logprob_sums"].tolist() == [[-1.5, -2.5], [0.0, 0.0], [-7.0, 0.0]]
    assert make_pass(GROUPS)["reference_logprob_sums"] is None


@given(st.data(), st.integers(1, 60), st.booleans())
def test_reference_log_probabilities_travel_with_their_responses(data: st.DataObject, budget: int, shared: bool) -> None:
    """Those of a response are minus its first token, which no other has: found where the row says that the response is, also when
    the group is split over rows or its pass holds others."""
    groups = [
        replace(group, reference_logprobs=[-float(response[0]) for response in group.response_ids]) for group in _groups(data.draw)
    ]
    for made in collate(groups, token_budget=budget, shared_prefix=shared)["passes"]:
        sums_P_G = made["reference_logprob_sums"]
        assert sums_P_G is not None
        assert torch.equal(sums_P_G == 0, made["response_lengths"] == 0)  # token 0 is in a prompt
        for row in made["rows"]:
            assert sums_P_G.flatten()[row["responses_N"]].tolist() == (-row["targets_M"][row["places_N_L"][:, 0]].float()).tolist()
