"""Plain JSON Lines, a response a line: who asked, a text, and if known its index and finish reason; `columns` names them."""

from collections.abc import Iterator
from pathlib import Path

from aftune.errors import DataError
from aftune.importers.rows import Response, Row
from aftune.recipe import ColumnsSection
from aftune.records import read_json_lines


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """Problems are named by id, or by question; raises DataError that names the line of a bad record."""
    for place, row in read_json_lines(path):
        if not isinstance(row, dict) or not isinstance(row.get(columns.text), str):
            raise DataError(f"{place}: there is no text {columns.text!r}; correct this line or set candidates.columns.text")
        problem_id, question = row.get(columns.problem_id), row.get(columns.question)
        if problem_id is None and question is None:
            raise DataError(
                f"{place}: neither {columns.problem_id!r} nor {columns.question!r} says which problem this is; "
                "set candidates.columns.problem_id or .question"
            )
        index = row.get(columns.index)
        if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
            raise DataError(f"{place}: {columns.index} is {index!r}, expected a number from 0; correct this line")
        finish = row.get(columns.finish_reason) or "stop"
        if finish not in ("stop", "length"):
            raise DataError(f"{place}: {columns.finish_reason} is {finish!r}, expected stop or length; correct this line")
        response = Response(row[columns.text], "stop" if finish == "stop" else "length", index)
        yield Row(place, [response], None if problem_id is None else str(problem_id), None if question is None else str(question))
