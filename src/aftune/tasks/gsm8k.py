"""GSM8K: grade-school mathematics (Cobbe et al. 2021), from its original JSON Lines files or from the Hub.

The calculator annotations `<<48/2=24>>` are taken out of the references: they are markup, not part of the reasoning.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from aftune.answers import Reading, extract_number, parse_number
from aftune.common.errors import DataError
from aftune.records import Problem
from aftune.tasks.base import LeftOut, Sources, data_folder
from aftune.tasks.published_files import FileTask, find_file, hub_rows, named_files, need_file, row_files, rows_of
from aftune.tasks.ranking import quality_of_rank
from aftune.tasks.task_options import TaskOptions

_HUB = "openai/gsm8k"
_ANNOTATION = re.compile(r"<<[^<>]*>>")


class Gsm8k(FileTask):
    """Reads `train.jsonl` and `test.jsonl` of a folder, or `openai/gsm8k` when no folder is given."""

    name = "gsm8k"
    version = 2  # 2: answers of kind number; 1 read the first number after the marker
    split_names = ("train", "test")
    published_sizes: ClassVar[dict[str, int]] = {"train": 7473, "test": 1319}
    source = "openai/grade-school-math: train.jsonl, test.jsonl; Hub openai/gsm8k"

    def __init__(self, data: Path | None = None, seed: int = 0) -> None:
        self.data = data_folder(self.name, data)
        self._hub: dict[str, list[tuple[str, Any]]] = {}  # by split, loaded when first asked for

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        if data is None:
            return Sources(data_sets=(_HUB,))
        return Sources(named_files(data, (find_file(data, *row_files(split)) for split in cls.split_names)))

    def has_split(self, split: str) -> bool:
        return self.data is None or find_file(self.data, *row_files(split)) is not None

    def rows(self, split: str) -> Iterator[tuple[str, Any]]:
        if self.data is None:
            if split not in self._hub:
                self._hub[split] = hub_rows(self.name, _HUB, "main", split)
            return iter(self._hub[split])
        return rows_of(need_file(self.name, self.data, *row_files(split)))

    def entries(self, split: str, index: int, place: str, row: Any) -> Iterator[Problem | LeftOut]:
        yield parse_row(row, place, f"gsm8k/{split}/{index}")

    def rank(self, problem: Problem, text: str, reading: Reading = "strict") -> float | None:
        return quality_of_rank(problem, text, reading, self.answer_kind)


class Gsm8kRank(Gsm8k):
    """GSM8K with ranking feedback: the same problems and verdicts, candidates ranked by our rule (aftune.tasks.ranking).

    It is not a copy of the paper's GSM8K-RANK, which is not public.
    """

    name = "gsm8k_rank"
    problems_of = "gsm8k"
    default_feedback = "ranking"


def parse_row(row: Any, place: str, problem_id: str) -> Problem:
    """A problem from one record of the original files; raises DataError that names `place`."""
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not isinstance(row.get("answer"), str):
        raise DataError(f'{place}: expected an object with the texts "question" and "answer"; correct this line')
    rationale = _ANNOTATION.sub("", row["answer"]).strip()
    gold = extract_number(rationale, "strict")
    if gold is None or parse_number(gold) is None:
        raise DataError(f'{place}: no gold answer: "answer" has no number after "####"; add it or remove this line')
    if not row["question"].strip():
        raise DataError(f'{place}: "question" is empty; correct or remove this line')
    return Problem(id=problem_id, task="gsm8k", question=row["question"].strip(), gold_answer=gold, rationale=rationale)
