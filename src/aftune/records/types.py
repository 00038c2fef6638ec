"""The records that stages hand on. Every line of a file carries `schema_version`."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aftune.common.errors import DataError, RepeatedIdError
from aftune.common.wording import counted


class Record(BaseModel):
    """Base of all records: unknown fields are errors, and the schema version travels with each line. NaN and infinity, which free
    fields may hold, are written as such: pydantic would write null."""

    model_config = ConfigDict(extra="forbid", cache_strings="keys", ser_json_inf_nan="constants")
    schema_version: Literal[1] = 1


# Where an importer puts the verdict that was published with a candidate.
PUBLISHED_VERDICT = "published_is_correct"

# The rank of a right response by the rule of aftune.tasks.ranking, and the lowest that a reference has among ranks.
BEST_RANK = 2.0

# The reasons of verdicts (aftune.answers) that say neither right nor wrong.
UNDECIDED = ("ambiguous", "timed out")
AnyRecord = TypeVar("AnyRecord", bound=Record)


class Problem(Record):
    """A question with a checkable answer. `rationale` is the reference response, final answer line included."""

    id: str = Field(min_length=1)
    task: str
    question: str = Field(min_length=1)
    gold_answer: str = Field(min_length=1)
    rationale: str | None = None
    options: list[str] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Candidate(Record):
    """A response to a problem. `token_ids` has no end-of-sequence token: `finish_reason` tells whether one followed. source: the
    model that gave it, where that is not the one that is trained."""

    problem_id: str
    index: int = Field(ge=0)
    text: str
    token_ids: list[int] | None = None
    finish_reason: Literal["stop", "length"] = "stop"
    seed: int | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    source: str | None = None


class Feedback(Record):
    """What is known of a candidate's quality: 1 for right and 0 for wrong, or any finite number, where larger is better.

    reason: for a verdict `matched`, `different`, `no answer`, `ambiguous` or `timed out`; detail: more about it, for people.
    rank: a finer number of the same kind, for ranking feedback; None where none is known.
    """

    answer: str | None = None
    quality: float
    reason: str
    detail: str | None = None
    rank: float | None = None

    @property
    def undecided(self) -> bool:
        """Whether the verdict is no evidence that the response is wrong: its answer is ambiguous, or took too long to compare."""
        return self.reason in UNDECIDED

    @model_validator(mode="after")
    def _numbers_are_finite(self) -> "Feedback":
        for name, value in (("quality", self.quality), ("rank", self.rank)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number")
        return self


class Group(Record):
    """A problem with its labelled candidates; `feedback[i]` belongs to `candidates[i]`."""

    problem: Problem
    candidates: list[Candidate]
    feedback: list[Feedback]

    @model_validator(mode="after")
    def _one_feedback_each(self) -> "Group":
        if len(self.candidates) != len(self.feedback):
            raise ValueError(f"{counted(len(self.candidates), 'candidate')}, but feedback for {len(self.feedback)}")
        return self

    @property
    def qualities(self) -> list[float]:
        return [feedback.quality for feedback in self.feedback]

    @property
    def ranks(self) -> list[float]:
        """The candidates' ranks; raises DataError where one has none."""
        ranks = [feedback.rank for feedback in self.feedback if feedback.rank is not None]
        if len(ranks) < len(self.feedback):
            first = next(i for i, feedback in enumerate(self.feedback) if feedback.rank is None)
            raise DataError(
                f"{self.problem.id}: candidate {self.candidates[first].index} has no rank; "
                "label the candidates again with a task that ranks them, or use binary feedback"
            )
        return ranks

    @property
    def has_pairs(self) -> bool:
        """Whether any candidate is better than another, so that the group teaches the alignment loss something."""
        return len(set(self.qualities)) > 1


class GroupScores(Record):
    """Scores of a group's candidates, nats per token, in the order of the group; and, where there is a reference response, its
    summed log-probability (nats) and number of tokens."""

    problem_id: str
    scores: list[float] = Field(default_factory=list)
    reference_logprob: float | None = None
    reference_length: int | None = None


class JudgedResponse(Record):
    """A greedy response to a held-out problem and its verdict. answer_by_reading, right_by_reading: the same for each reading;
    older files lack them.
    """

    problem_id: str
    text: str
    answer: str | None = None
    right: bool
    reason: str
    finish_reason: Literal["stop", "length"]
    answer_by_reading: dict[str, str | None] | None = None
    right_by_reading: dict[str, bool] | None = None


class Votes(Record):
    """Responses to a held-out problem sampled from the model itself: their answers (None: none could be read), whether they are
    right, and their scores, nats per token."""

    problem_id: str
    answers: list[str | None]
    right: list[bool]
    scores: list[float]


class GroupLogprobs(Record):
    """Summed log-probabilities (nats) and numbers of tokens of a group's reference response, if it has one, and its candidates.

    indices: the index of each one's candidate, None for the reference; without them only the order tells which is which.
    """

    problem_id: str
    sums: list[float] = Field(default_factory=list)
    lengths: list[int] = Field(default_factory=list)
    indices: list[int | None] | None = None


def with_unique_ids(problems: Iterable[Problem], place: str) -> Iterator[Problem]:
    """The problems, one at a time; raises RepeatedIdError, which starts with `place`, where an id is repeated: candidates and
    verdicts are matched to their problem by it."""
    numbers: dict[str, int] = {}
    for number, problem in enumerate(problems, 1):
        first = numbers.setdefault(problem.id, number)
        if first != number:
            raise RepeatedIdError(
                f"{place}: problems {first} and {number} have the same id {problem.id!r}; give each an id of its own"
            )
        yield problem
