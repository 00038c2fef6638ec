"""Generated number sequences: a second task that needs no data, for training on several tasks at once.

    What comes next: 3, 7, 11, 15?        7-3=4, 11-7=4, 15-11=4, 15+4=19

A sequence shows four or five whole numbers and follows one of four rules: equal steps, two steps in turn, steps that grow
evenly, or each number the sum of the two before. Where several rules fit, they agree: there is one answer.

Everything follows from `(seed, split, index)`. The numbers of a sequence decide which split it belongs to, whatever the seed:
no sequence is in two splits. Within a split one may occur twice.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from aftune.answers import Reading
from aftune.common.errors import UsageError
from aftune.records import Problem
from aftune.tasks.generated import GeneratedTask
from aftune.tasks.ranking import quality_of_rank

QUESTIONS = (
    "What comes next: {terms}?",
    "What is the next number after {terms}?",
    "The first numbers are {terms}. What number comes now?",
    "{name} counts {terms}. What number does {name} get next?",
)
NAMES = ("Mia", "Tom", "Ana", "Ben", "Zoe", "Sam", "Eva", "Max", "Lea", "Dan", "Ida", "Leo")
# How a chain words what lies between two numbers, and what comes next.
WORDINGS = (("We compute {e}.", "So the answer is {e}."), ("{e}", "{e}"))
LARGEST = 200
_SHARES = {"train": range(2, 10), "validation": range(1, 2), "test": range(1)}  # of ten parts


def differences(terms: Sequence[int]) -> list[int]:
    return [b - a for a, b in pairwise(terms)]


def _equal_steps(terms: Sequence[int]) -> int | None:
    steps = differences(terms)
    return terms[-1] + steps[0] if len(set(steps)) == 1 else None


def _two_steps(terms: Sequence[int]) -> int | None:
    steps = differences(terms)
    return terms[-1] + steps[-2] if all(a == b for a, b in zip(steps, steps[2:], strict=False)) else None


def _growing_steps(terms: Sequence[int]) -> int | None:
    steps = differences(terms)
    growths = differences(steps)
    return terms[-1] + steps[-1] + growths[0] if len(set(growths)) == 1 else None


def _sums(terms: Sequence[int]) -> int | None:
    fits = all(c == a + b for a, b, c in zip(terms, terms[1:], terms[2:], strict=False))
    return terms[-1] + terms[-2] if fits else None


# By rule, the number that continues a sequence of at least four positive numbers, or None where it does not follow the rule.
RULES: dict[str, Callable[[Sequence[int]], int | None]] = {
    "equal steps": _equal_steps,
    "two steps": _two_steps,
    "growing steps": _growing_steps,
    "sums": _sums,
}


class Sequences(GeneratedTask):
    """The next number of a sequence, the four rules in turn; `seed` chooses the sequences."""

    name = "sequences"
    version = 2  # 2: answers of kind number; 1 read the first number after the marker

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        rules = tuple(RULES)
        for index in range(start, stop):
            rng = random.Random(f"sequences/{self.seed}/{split}/{index}")
            rule = rules[index % len(rules)]
            terms = make_sequence(rng, rule, split)
            answer = RULES[rule](terms)
            yield Problem(
                id=f"sequences/{split}/{index}",
                task=self.name,
                question=rng.choice(QUESTIONS).format(terms=", ".join(map(str, terms)), name=rng.choice(NAMES)),
                gold_answer=str(answer),
                rationale=solve(terms, rule, rng.randrange(len(WORDINGS))),
                metadata={"rule": rule},
            )

    def rank(self, problem: Problem, text: str, reading: Reading = "strict") -> float | None:
        return quality_of_rank(problem, text, reading, self.answer_kind)


def make_sequence(rng: random.Random, rule: str, split: str) -> list[int]:
    """The numbers that a sequence of that split shows; all of them and the next one are from 1 to 200."""
    while True:
        terms = _try_sequence(rng, rule)
        if min(terms) < 1 or split_of(terms) != split:
            continue
        answers = {answer for continues in RULES.values() if (answer := continues(terms)) is not None}
        if len(answers) == 1 and min(answers) >= 1 and max(*answers, *terms) <= LARGEST:
            return terms


def split_of(terms: Sequence[int]) -> str:
    """The split that a sequence belongs to, by a hash of its numbers."""
    part = int.from_bytes(hashlib.sha256(",".join(map(str, terms)).encode()).digest()[:8], "big") % 10
    return next(split for split, parts in _SHARES.items() if part in parts)


def _try_sequence(rng: random.Random, rule: str) -> list[int]:
    length = rng.choice((4, 5))
    if rule == "sums":
        terms = [rng.randint(1, 30), rng.randint(1, 40)]
        while len(terms) < length:
            terms.append(terms[-1] + terms[-2])
        return terms
    step, other = (rng.choice((1, -1)) * rng.randint(2, 12) for _ in range(2))
    growth = rng.randint(1, 6)
    terms = [rng.randint(1, 60)]
    for place in range(length - 1):
        change = {"equal steps": step, "two steps": (step, other)[place % 2], "growing steps": abs(step) + place * growth}[rule]
        terms.append(terms[-1] + change)
    return terms


def solve(terms: Sequence[int], rule: str, wording: int) -> str:
    """A right chain of thought that ends in `#### N`: what lies between the numbers from left to right, then the next number."""
    between, last = WORDINGS[wording]
    answer = RULES[rule](terms)
    if answer is None:
        raise UsageError(f"{list(terms)} does not follow the rule {rule!r}")
    if rule == "sums":
        lines = [between.format(e=f"{a}+{b}={a + b}") for a, b in pairwise(terms[:-1])]
        return "\n".join([*lines, last.format(e=f"{terms[-2]}+{terms[-1]}={answer}"), f"#### {answer}"])
    lines = [between.format(e=f"{max(a, b)}-{min(a, b)}={abs(b - a)}") for a, b in pairwise(terms)]
    *_, before, latest = differences(terms)
    step = answer - terms[-1]
    if rule == "growing steps":
        growth = latest - before
        lines += [between.format(e=f"{latest}-{before}={growth}"), between.format(e=f"{latest}+{growth}={step}")]
    return "\n".join([*lines, last.format(e=f"{terms[-1]}{'+' if step > 0 else '-'}{abs(step)}={answer}"), f"#### {answer}"])
