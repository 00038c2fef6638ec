"""OpenAI's `example_model_solutions.jsonl`: GSM8K test questions, each with four sampled solutions and their verdicts."""

from collections.abc import Iterator
from pathlib import Path

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.interchange.importers.responses import Response, Row
from aftune.recipe import ColumnsSection
from aftune.records import PUBLISHED_VERDICT

KINDS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """Four responses per line, with their published verdicts in `settings`.

    A solution without an `A:` line ran on until it was cut off. Raises a DataError that names the line of a bad record.
    """
    for place, row in read_rows(path):
        try:
            question = row["question"].strip()
            solutions = [(kind, row[kind]["solution"].strip(), row[kind]["is_correct"]) for kind in KINDS]
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{place}: expected question and {', '.join(KINDS)}, each with solution and is_correct; correct this line"
            ) from error
        for kind, _, is_correct in solutions:
            if not isinstance(is_correct, bool):
                raise DataError(f"{place}: is_correct of {kind} is {is_correct!r:.80}, expected true or false; correct this line")
        responses = [
            Response(
                text,
                "stop" if "A:" in text else "length",
                index,
                {"model": kind, PUBLISHED_VERDICT: is_correct},
            )
            for index, (kind, text, is_correct) in enumerate(solutions)
        ]
        yield Row(place, responses, question=question)
