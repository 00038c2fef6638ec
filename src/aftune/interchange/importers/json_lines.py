"""Plain JSON Lines (or a table), one response per line: its problem, its text, and if known its index and finish reason."""

from collections.abc import Iterator
from pathlib import Path

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.interchange.importers.responses import Response, Row, index_of
from aftune.recipe import ColumnsSection


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """Problems are named by id, or by question; raises a DataError that names the line of a bad record."""
    for place, row in read_rows(path):
        if not isinstance(row, dict) or not isinstance(row.get(columns.text), str):
            raise DataError(
                f"{place}: there is no text in column {columns.text!r}; correct this line or set candidates.columns.text"
            )
        problem_id, question = row.get(columns.problem_id), row.get(columns.question)
        if problem_id is None and question is None:
            raise DataError(
                f"{place}: neither {columns.problem_id!r} nor {columns.question!r} says which problem this is; "
                "set candidates.columns.problem_id or .question"
            )
        index = index_of(place, row.get(columns.index), columns.index)
        finish = row.get(columns.finish_reason) or "stop"
        if finish not in ("stop", "length"):
            raise DataError(f"{place}: {columns.finish_reason} is {finish!r:.80}, expected stop or length; correct this line")
        response = Response(row[columns.text], "stop" if finish == "stop" else "length", index)
        yield Row(place, [response], None if problem_id is None else str(problem_id), None if question is None else str(question))
