"""Generated arithmetic word problems: the task that needs no data.

A story gives a person things and takes things away; each amount is a plain number, a product ("3 bags with 4 apples each")
or a multiple of an earlier number. A last question may add one more operation. A story with `n` operations has several valid
chains of thought: the running total in story order, all products first, or gains and losses summed separately; and each of them
with one operation per line or with a whole sum on one line, as in a third of GSM8K's training references.

Everything follows from `(seed, split, index)`: a problem does not depend on how many others are made.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from aftune.answers import Reading
from aftune.records import Problem
from aftune.tasks.generated import GeneratedTask
from aftune.tasks.ranking import quality_of_rank
from aftune.tasks.task_options import TaskOptions

NAMES = ("Mia", "Tom", "Ana", "Ben", "Zoe", "Sam", "Eva", "Max", "Lea", "Dan", "Ida", "Leo", "Nora", "Paul", "Rosa", "Karl")
FEMALE = frozenset(("Mia", "Ana", "Zoe", "Eva", "Lea", "Ida", "Nora", "Rosa"))
THINGS = ("apples", "pencils", "stickers", "marbles", "books", "cards", "shells", "coins", "stamps", "cookies", "flowers", "beads")
CONTAINERS = ("boxes", "bags", "baskets", "packs", "jars", "trays")

GAINS = (
    "{She} buys {x} more {things}.",
    "{friend} gives {her} {x} {things}.",
    "{She} finds {x} {things} at home.",
    "Then {she} gets {x} new {things}.",
)
PRODUCT_GAINS = (
    "{She} buys {x} {containers} with {y} {things} each.",
    "{She} gets {y} {things} a day for {x} days.",
    "{friend} and others bring {x} {containers}, each with {y} {things}.",
)
MULTIPLE_GAINS = (
    "{friend} gives {her} {x} times as many {things} as {she} had at first.",
    "Then {she} wins {x} times the number of {things} {she} started with.",
)
LOSSES = (
    "{She} gives {x} {things} to {friend}.",
    "{She} loses {x} of the {things}.",
    "{friend} takes {x} {things} away.",
    "{x} {things} break.",
)
PRODUCT_LOSSES = (
    "{She} gives {y} {things} to each of {x} friends.",
    "{She} uses {y} {things} a day for {x} days.",
)
DISTRACTORS = ("{name} is {x} years old.", "It is {x} degrees outside.", "{friend} lives {x} miles away.")

# Each is one way to word a solution: a product, a running total, a sum of gains, a sum of losses and a last step.
WORDINGS = (
    {
        "product": "That makes {e} {things}.",
        "total": "Now {name} has {e} {things}.",
        "gains": "In all {name} gets {e} {things}.",
        "losses": "In all {name} loses {e} {things}.",
        "last": "So the answer is {e}.",
    },
    {
        "product": "There are {e} of them.",
        "total": "After this there are {e} {things}.",
        "gains": "Together {she} had {e} {things}.",
        "losses": "Together {e} {things} are gone.",
        "last": "The result is {e}.",
    },
    {
        "product": "We compute {e}.",
        "total": "The count is {e}.",
        "gains": "The sum of what comes is {e}.",
        "losses": "The sum of what goes is {e}.",
        "last": "At the end {e}.",
    },
)
PLANS = ("story order", "products first", "gains and losses")
ONE_LINE_SHARE = 0.34  # GSM8K train: 34 % of the references have an equation with two or more operations


class ArithmeticOptions(TaskOptions):
    """operations: how many a problem takes, in turn."""

    operations: list[Annotated[int, Field(ge=1, le=8)]] = Field(default=[3, 4, 5], min_length=1)


@dataclass(frozen=True)
class Event:
    """One change of the count: `sign` times the product of `factors` (one or two numbers)."""

    sign: int
    factors: tuple[int, ...]
    text: str

    @property
    def amount(self) -> int:
        return math.prod(self.factors)


@dataclass(frozen=True)
class Story:
    """A word problem and what is needed to solve it in any order. `last` is ("", 0), ("/", n), ("*", n) or ("-", n)."""

    words: dict[str, str]
    events: tuple[Event, ...]
    last: tuple[str, int]
    question: str

    @property
    def total(self) -> int:
        return sum(event.sign * event.amount for event in self.events)

    @property
    def answer(self) -> int:
        operator, number = self.last
        return {"": self.total, "/": self.total // max(number, 1), "*": self.total * number, "-": self.total - number}[operator]


class Arithmetic(GeneratedTask):
    """Problems with three to five operations, unless the options say other numbers; `seed` chooses them."""

    name = "arithmetic"
    version = 2  # 2: answers of kind number; 1 read the first number after the marker
    options_model = ArithmeticOptions

    def __init__(self, data: Path | None = None, seed: int = 0, options: ArithmeticOptions | None = None) -> None:
        super().__init__(data, seed)
        self.operations = (options or ArithmeticOptions()).operations

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        for index in range(start, stop):
            rng = random.Random(f"arithmetic/{self.seed}/{split}/{index}")
            num_operations = self.operations[index % len(self.operations)]
            story = make_story(rng, num_operations)
            yield Problem(
                id=f"arithmetic/{split}/{index}",
                task=self.name,
                question=story.question,
                gold_answer=str(story.answer),
                rationale=random_solution(rng, story),
                metadata={"num_operations": num_operations},
            )

    def rank(self, problem: Problem, text: str, reading: Reading = "strict") -> float | None:
        return quality_of_rank(problem, text, reading, self.answer_kind)


def make_story(rng: random.Random, num_operations: int) -> Story:
    """A story whose solution needs exactly `num_operations` operations; counts never fall below 1 or rise above 300."""
    story = None
    while story is None:
        story = _try_story(rng, num_operations)
    return story


def _try_story(rng: random.Random, num_operations: int) -> Story | None:
    name, friend = rng.sample(NAMES, 2)
    female = name in FEMALE
    words = {
        "name": name,
        "friend": friend,
        "She": "She" if female else "He",
        "she": "she" if female else "he",
        "her": "her" if female else "him",
        "things": rng.choice(THINGS),
        "containers": rng.choice(CONTAINERS),
    }
    has_last = num_operations > 1 and rng.random() < 0.4
    budget = num_operations - has_last  # each further event costs one operation, each product one more
    events: list[Event] = []
    count = 0
    if budget >= 2 and rng.random() < 0.3:
        x, y = rng.randint(2, 9), rng.randint(2, 9)
        events.append(Event(1, (x, y), "{name} has {x} {containers} with {y} {things} each.".format(x=x, y=y, **words)))
        budget -= 1
    else:
        x = rng.randint(5, 40)
        events.append(Event(1, (x,), "{name} has {x} {things}.".format(x=x, **words)))
    count = events[0].amount
    while budget > 0:
        event = _make_event(rng, words, events[0], count, product=budget >= 2 and rng.random() < 0.45)
        count += event.sign * event.amount
        if not 1 <= count <= 300:
            return None
        budget -= len(event.factors)
        events.append(event)
    sentences = [event.text for event in events]
    if rng.random() < 0.25:
        sentences.insert(rng.randint(1, len(sentences)), rng.choice(DISTRACTORS).format(x=rng.randint(5, 40), **words))
    last, ending = (
        _make_ending(rng, words, count) if has_last else (("", 0), "How many {things} does {name} have now?".format(**words))
    )
    if last is None:
        return None
    return Story(words, tuple(events), last, " ".join([*sentences, ending]))


def _make_event(rng: random.Random, words: dict[str, str], first: Event, count: int, *, product: bool) -> Event:
    sign = rng.choice((1, -1))
    if not product:
        x = rng.randint(2, 40) if sign > 0 else rng.randint(2, max(2, min(40, count - 1)))
        return Event(sign, (x,), rng.choice(GAINS if sign > 0 else LOSSES).format(x=x, **words))
    if sign > 0 and len(first.factors) == 1 and rng.random() < 0.25:
        x = rng.randint(2, 4)
        return Event(1, (x, first.amount), rng.choice(MULTIPLE_GAINS).format(x=x, **words))
    x, y = rng.randint(2, 9), rng.randint(2, 9)
    return Event(sign, (x, y), rng.choice(PRODUCT_GAINS if sign > 0 else PRODUCT_LOSSES).format(x=x, y=y, **words))


def _make_ending(rng: random.Random, words: dict[str, str], count: int) -> tuple[tuple[str, int] | None, str]:
    kind = rng.choice("/*-")
    if kind == "/":
        divisors = [n for n in range(2, 10) if count % n == 0 and count > n]
        if not divisors:
            return None, ""
        n = rng.choice(divisors)
        return (kind, n), "{She} puts all of them into {n} equal {containers}. How many {things} are in each?".format(n=n, **words)
    if kind == "*":
        n = rng.randint(2, 5)
        return (kind, n), "{She} sells all of them for {n} dollars each. How many dollars does {she} get?".format(n=n, **words)
    if count < 4:
        return None, ""
    n = rng.randint(2, min(count - 1, 40))
    return (kind, n), "{friend} has {n} {things}. How many more {things} than {friend} does {name} have now?".format(n=n, **words)


def valid_plans(story: Story) -> list[str]:
    """The orders of reasoning that give different chains for this story."""
    chains: dict[str, str] = {}
    for plan in PLANS:
        if plan != PLANS[2] or any(event.sign < 0 for event in story.events):
            chains.setdefault(solve(story, plan, wording=0, one_line=False), plan)
    return list(chains.values())


def random_solution(rng: random.Random, story: Story) -> str:
    """A right chain of thought in one of the story's orders, wordings and densities."""
    plan = rng.choice(valid_plans(story))
    return solve(story, plan, rng.randrange(len(WORDINGS)), rng.random() < ONE_LINE_SHARE)


def solve(story: Story, plan: str, wording: int, one_line: bool) -> str:
    """A right chain of thought that ends in `#### N`. `one_line` writes a whole sum as one equation."""
    say = WORDINGS[wording]
    lines: list[str] = []

    def step(kind: str, expression: str, value: int) -> None:
        lines.append(say[kind].format(e=f"{expression}={value}", **story.words))

    def product(event: Event) -> None:
        if len(event.factors) == 2:
            step("product", "*".join(map(str, event.factors)), event.amount)

    def sum_up(kind: str, terms: list[tuple[int, int]]) -> int:
        """The total of signed amounts, with `one_line` written as one equation."""
        total = sum(sign * amount for sign, amount in terms)
        if one_line and len(terms) > 1:
            expression = "".join(("+" if sign > 0 else "-") + str(amount) for sign, amount in terms)
            step(kind, expression.removeprefix("+"), total)
        return total

    def running(kind: str, events: list[Event], *, products_now: bool) -> int:
        terms = [(1, event.amount) if kind == "losses" else (event.sign, event.amount) for event in events]
        if one_line:
            if products_now:
                for event in events:
                    product(event)
            return sum_up(kind, terms)
        total = 0
        for position, (event, (sign, amount)) in enumerate(zip(events, terms, strict=True)):
            if products_now:
                product(event)
            if position:
                step(kind, f"{total}{'+' if sign > 0 else '-'}{amount}", total + sign * amount)
            total += sign * amount
        return total

    events = list(story.events)
    if plan == "story order":
        total = running("total", events, products_now=True)
    elif plan == "products first":
        for event in events:
            product(event)
        total = running("total", events, products_now=False)
    else:
        gains = running("gains", [event for event in events if event.sign > 0], products_now=True)
        losses = running("losses", [event for event in events if event.sign < 0], products_now=True)
        total = gains - losses
        step("total", f"{gains}-{losses}", total)
    operator, number = story.last
    if operator:
        step("last", f"{total}{operator}{number}", story.answer)
    return "\n".join([*lines, f"#### {story.answer}"])
