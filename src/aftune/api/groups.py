"""`label`: groups of judged candidates."""

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from aftune.api.keys import LabelKeys, section_of, with_keys_of
from aftune.api.problem_tasks import TaskOfRecipe, checked, records, task_section
from aftune.common.text_files import text_lines
from aftune.groups.labelling import label_files
from aftune.pipeline import recipe_task
from aftune.pipeline.warning_signs import of_labelling
from aftune.recipe import LabelSection, recipe_from
from aftune.records import Candidate, Group, Problem, read_records, write_records


class Groups(list[Group]):
    """A list of groups, one for each problem, in order. counts: what became of the candidates. left_out: each that is in no group,
    with the reason. disagreements: those whose published verdict differs from ours."""

    def __init__(
        self,
        groups: Sequence[Group] = (),
        counts: dict[str, int] | None = None,
        left_out: Sequence[dict[str, Any]] = (),
        disagreements: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(groups)
        self.counts, self.left_out, self.disagreements = counts or {}, list(left_out), list(disagreements)


@with_keys_of(LabelSection)
def label(
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    *,
    task: TaskOfRecipe | None = None,
    data: str | Path | None = None,
    **keys: Unpack[LabelKeys],
) -> Groups:
    """The candidates of each problem with their verdicts, as stage `label` of a run gives them: those that are cut off, empty,
    repeated or ambiguous are left out, counted and listed.

    task, data: of the problems, by default aftune's task of that name. reading: `strict` reads the answer in the format that was
    asked for, `flexible` the last statement of one. Whether candidates fit a model's context is seen when a model gets them.

    Warns where nothing can be learned from the groups. Raises UsageError for an argument that does not fit, StageError where too
    many comparisons of answers timed out.

    >>> from aftune import Candidate, label, load_problems
    >>> problems = load_problems("arithmetic", "train[:1]")
    >>> texts = ["13*30=390\\n#### 390", "13+30=43\\n#### 43", "13*30=390\\n#### 390"]
    >>> groups = label(problems, [Candidate(problem_id=problems[0].id, index=i, text=text) for i, text in enumerate(texts)])
    >>> groups[0].qualities
    [1.0, 0.0]
    >>> [(row["index"], row["reason"]) for row in groups.left_out]
    [(2, 'duplicate')]
    """
    section = section_of(LabelSection, keys, "label")
    problems = checked("label", "problems", problems)
    candidates = records("label", "candidates", candidates, Candidate)
    with tempfile.TemporaryDirectory(prefix="aftune-") as temporary:
        folder = Path(temporary)
        values = {"run_dir": temporary, "data": None if data is None else str(data), "label": section}
        recipe = recipe_from(values | {"task": task_section("label", task, problems)}, (), "label")
        recipe_task.check(recipe)
        write_records(folder / "candidates.jsonl", candidates)
        counts = label_files(recipe_task.build(recipe), problems, folder / "candidates.jsonl", folder, section.reading)
        groups = read_records(folder / "groups.jsonl", Group)
        left_out, disagreements = (_rows(folder / f"{name}.jsonl") for name in ("left_out", "disagreements"))
    by_rank = recipe_task.default_feedback(recipe) == "ranking"
    for text in of_labelling(counts, recipe, "sample", by_rank=by_rank):
        warnings.warn(text, stacklevel=2)
    return Groups(groups, counts, left_out, disagreements)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for _, _, text in text_lines(path)] if path.exists() else []
