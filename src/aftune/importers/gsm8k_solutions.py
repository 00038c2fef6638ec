"""OpenAI's `example_model_solutions.jsonl`: GSM8K test questions, each with four sampled solutions and their verdicts."""

from collections.abc import Sequence
from pathlib import Path

from aftune.errors import DataError
from aftune.records import PUBLISHED_VERDICT, Candidate, Problem, read_json_lines

KINDS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def read(path: Path, problems: Sequence[Problem]) -> list[Candidate]:
    """Four candidates for each problem whose question is in the file, their published verdicts in `settings`.

    A solution without an `A:` line ran on until it was cut off. Raises DataError that names the line of a bad record.
    """
    ids = {" ".join(problem.question.split()): problem.id for problem in problems}
    candidates = []
    for place, row in read_json_lines(path):
        try:
            problem_id = ids.get(" ".join(row["question"].split()))
            solutions = [(row[kind]["solution"], bool(row[kind]["is_correct"])) for kind in KINDS]
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: expected question and {', '.join(KINDS)}, each with solution and is_correct") from error
        if problem_id is None:
            continue
        candidates += [
            Candidate(
                problem_id=problem_id,
                index=index,
                text=text.strip(),
                finish_reason="stop" if "A:" in text else "length",
                settings={"model": kind, PUBLISHED_VERDICT: is_correct},
            )
            for index, (kind, (text, is_correct)) in enumerate(zip(KINDS, solutions, strict=True))
        ]
    return candidates
