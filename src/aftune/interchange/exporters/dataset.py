"""Groups as a Hugging Face dataset: a folder that `datasets.load_from_disk` opens, a row for each group."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aftune.common.errors import UsageError
from aftune.common.extras import needed
from aftune.interchange.exporters import Ask
from aftune.records import Group


def write(path: Path, groups: Iterable[Group], ask: Ask) -> dict[str, int]:
    """Writes a row for each group and counts them. Raises MissingPackageError without the datasets package, UsageError if
    the folder is not empty."""
    needed("datasets", extra="hub", purpose="--to dataset", otherwise="use --to preference-pairs")
    import datasets

    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise UsageError(f"--out: {path} already exists; choose a new folder")
    rows = [row(group, ask) for group in groups]
    datasets.Dataset.from_list(rows).save_to_disk(str(path))
    return {"groups": len(rows)}


def row(group: Group, ask: Ask) -> dict[str, Any]:
    """A group's row; its lists have an entry for each candidate."""
    problem = group.problem
    return {
        "problem_id": problem.id,
        "task": problem.task,
        "question": problem.question,
        "options": problem.options,
        "gold_answer": problem.gold_answer,
        "reference": problem.rationale,
        "prompt": ask(problem),
        "responses": [candidate.text for candidate in group.candidates],
        "answers": [feedback.answer for feedback in group.feedback],
        "qualities": group.qualities,
        "ranks": [feedback.rank for feedback in group.feedback],
        "reasons": [feedback.reason for feedback in group.feedback],
    }
