"""Result files of ZeroEval (Lin 2024, github.com/WildEval/ZeroEval): one JSON list per model, as `.json` or `.json.gz`.

The responses are JSON objects with a reasoning and an answer: label them with `label.reading: flexible`. Whether a response
was cut off is not in the file; one without an answer is labelled wrong.
"""

from collections.abc import Iterator
from pathlib import Path

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.interchange.importers.responses import Response, Row, texts
from aftune.recipe import ColumnsSection

_SETTINGS = ("temperature", "top_p", "max_tokens")


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """A row for each question; raises a DataError that names a record of any other form."""
    for place, record in read_rows(path):
        if not isinstance(record, dict) or not isinstance(record.get("question"), str):
            raise DataError(f"{place}: expected an object with question and output; correct it or get the file again")
        configs = record.get("configs")
        settings = {"model": str(record.get("generator", path.name.partition(".json")[0]))}
        if isinstance(configs, dict):
            settings |= {key: configs[key] for key in _SETTINGS if isinstance(configs.get(key), int | float)}
        responses = [Response(text, settings=settings) for text in texts(place, record.get("output"), "output")]
        yield Row(place, responses, str(record.get("id", "")), record["question"])
