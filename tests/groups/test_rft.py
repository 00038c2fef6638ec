"""RFT's choice of right samples."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.answers.equations import equations
from aftune.common.errors import UsageError
from aftune.groups.rft import rft_choice
from aftune.records import Candidate, Feedback, Group, Problem

REFERENCE = "48/2 = 24\n48+24 = 72\n#### 72"


def group(texts: Sequence[str], qualities: Sequence[float], reference: str | None = REFERENCE) -> Group:
    return Group(
        problem=Problem(id="p", task="gsm8k", question="q", gold_answer="72", rationale=reference),
        candidates=[Candidate(problem_id="p", index=10 + i, text=text) for i, text in enumerate(texts)],
        feedback=[Feedback(quality=quality, reason="") for quality in qualities],
    )


TEXTS = [
    "48*2 = 96\n#### 96",  # 0: wrong
    "24+48 = 72\n#### 72",  # 1: right, a way of its own
    "So $24 + 48 = $72.\n#### 72",  # 2: the equations of 1
    "April 48 / 2 = 24, and 48 + 24 = 72.\n#### 72",  # 3: the equations of the reference
    "I know it.\n#### 72",  # 4: no equation
    "I  know it. #### 72",  # 5: the text of 4
    "It must be 72.\n#### 72",  # 6: no equation, another text
    "48 x 1.5 = 72\n#### 72",  # 7: another way
    "24+48 = 72, 72 = 72\n#### 72",  # 8: `72 = 72` computes nothing: the equations of 1
    "48+24 = 72\n#### 72",  # 9: 1 the other way round is another list
]
QUALITIES = [0, *[1] * 9]


def test_hand_worked() -> None:
    assert rft_choice(group(TEXTS, QUALITIES)) == [1, 4, 6, 7, 9]


@pytest.mark.parametrize(("cap", "expected"), [(None, [1, 4, 6, 7, 9]), (9, [1, 4, 6, 7, 9]), (2, [1, 4]), (1, [1]), (0, [])])
def test_cap_keeps_the_first(cap: int | None, expected: list[int]) -> None:
    assert rft_choice(group(TEXTS, QUALITIES), cap) == expected


def test_negative_cap_is_an_error() -> None:
    with pytest.raises(UsageError, match="max_positives is -1, expected 0 or more"):
        rft_choice(group(TEXTS, QUALITIES), -1)


def test_without_a_reference_nothing_repeats_it() -> None:
    assert rft_choice(group(TEXTS, QUALITIES, reference=None)) == [1, 3, 4, 6, 7, 9]


def test_reference_without_equations_is_compared_by_its_text() -> None:
    assert rft_choice(group(["It is 72.\n#### 72", "So 72.\n#### 72"], [1, 1], reference="It is  72. #### 72")) == [1]


@pytest.mark.parametrize(
    ("qualities", "expected"),
    [([0, 0, 0], []), ([-1, -2, -1], []), ([1, 0, 1], [0, 2]), ([2 / 3, 1 / 3, 2 / 3], [0, 2]), ([3, 2, 1], [0])],
)
def test_right_is_the_best_quality_above_zero(qualities: list[float], expected: list[int]) -> None:
    assert rft_choice(group(["1+1=2", "1+2=3", "1+3=4"], qualities)) == expected


def test_empty_group() -> None:
    assert rft_choice(group([], [])) == []


CHAINS = st.lists(st.sampled_from(["48/2 = 24", "48+24 = 72", "24*3 = 72", "so"]), max_size=3).map("\n".join)


@given(st.lists(st.tuples(CHAINS, st.sampled_from([0.0, 1.0])), max_size=8), CHAINS, st.none() | st.integers(0, 4))
def test_against_pairwise_comparison(members: list[tuple[str, float]], reference: str, cap: int | None) -> None:
    """A right candidate is chosen unless it is like the reference or like any chosen one before it."""

    def alike(first: str, second: str) -> bool:
        return first.split() == second.split() or (equations(first) == equations(second) != ())

    chosen: list[int] = []
    for place, (text, quality) in enumerate(members):
        if quality == 1 and not any(alike(text, other) for other in [reference, *(members[i][0] for i in chosen)]):
            chosen.append(place)
    made = group([text for text, _ in members], [quality for _, quality in members], reference)
    before = made.model_copy(deep=True)
    assert rft_choice(made, cap) == chosen[:cap]
    assert made == before
