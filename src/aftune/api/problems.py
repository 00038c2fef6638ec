"""`load_problems`: the problems of a task's split, as a list."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aftune import tasks
from aftune.common.wording import counted
from aftune.records import Problem, with_unique_ids


def load_problems(
    task: str,
    split: str = "train",
    *,
    data: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> list[Problem]:
    """The problems of a split of a task, or of a slice of it.

    task: its name (`aftune tasks` lists them). split: in the notation of Hugging Face datasets, such as `train[:100]`. data: the
    folder or the file that it reads; without it, generated, or from the Hub. options: the task's own (docs/tasks.md).

    A rationale that contradicts its gold answer is not imitated: as in a run, such a problem is left out of a split `train`, and
    keeps its question alone in others; a warning says how many there are. Raises UsageError for a task, split or option that there
    is not, DataError for data that is not what it should be.

    >>> from aftune import load_problems
    >>> problems = load_problems("arithmetic", "train[:2]")
    >>> [problem.id for problem in problems]
    ['arithmetic/train/0', 'arithmetic/train/1']
    >>> problems[0].gold_answer
    '390'
    """
    source = tasks.build(task, None if data is None else Path(data).expanduser(), seed, options)
    training = source.parse_slice(split).split == "train"
    found: list[Problem] = []
    contradictions: list[str] = []
    for problem in with_unique_ids(source.stream(split), f"load_problems: {split}"):
        if source.contradiction(problem):
            contradictions.append(problem.id)
            if training:
                continue
            problem = problem.model_copy(update={"rationale": None})
        found.append(problem)
    if contradictions:
        what = "left out for the rationale" if training else "without the rationale"
        listed = ", ".join(contradictions[:5]) + (", ..." if len(contradictions) > 5 else "")
        number = counted(len(contradictions), "problem")
        warnings.warn(f"{number} of {task} {split} {what}, which contradicts the gold answer: {listed}", stacklevel=2)
    return found
