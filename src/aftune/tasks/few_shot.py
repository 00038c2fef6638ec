"""The examples that a prompt shows: chosen from the training problems, and the same wherever the seed is the same."""

import heapq
from collections.abc import Iterable, Iterator

from aftune.common.seeds import derive_seed
from aftune.records import Problem
from aftune.records.questions import question_key
from aftune.tasks.base import Task


def choose_examples(
    task: Task, problems: Iterable[Problem], number: int, seed: int, held_out: Iterable[Problem] = ()
) -> list[Problem]:
    """`number` + 1 of the problems, or as many as there are; none for 0. They follow from the seed and do not depend on the order.

    One more than is shown, so that a problem that is an example itself is not asked with its own solution. Problems without a
    sound reference and those whose question is held out are not chosen; of those with the same question only the first is eligible.
    """
    if not number:
        return []
    seen = {question_key(problem.question, problem.options) for problem in held_out}

    def eligible() -> Iterator[Problem]:
        for problem in problems:
            question = question_key(problem.question, problem.options)
            if task.sound_reference(problem) and question not in seen:
                seen.add(question)
                yield problem

    return heapq.nsmallest(number + 1, eligible(), key=lambda problem: derive_seed(seed, "examples", problem.id))
