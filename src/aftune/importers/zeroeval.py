"""Result files of ZeroEval (Lin 2024, github.com/WildEval/ZeroEval): one JSON list a model, as `.json` or `.json.gz`.

The responses are JSON objects with a reasoning and an answer: label them with `label.reading: flexible`. Whether a response
was cut off is not in the file; one without an answer is labelled wrong.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aftune.errors import DataError
from aftune.importers.rows import Response, Row, texts
from aftune.recipe import ColumnsSection


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """A row for each question; raises DataError for a file that is not of this form, with the number of the record."""
    for number, record in enumerate(_load(path)):
        place = f"{path}: record {number}"
        if not isinstance(record, dict) or not isinstance(record.get("question"), str):
            raise DataError(f"{place}: expected an object with question and output; correct it or get the file again")
        configs = record.get("configs")
        settings = {"model": str(record.get("generator", path.name.partition(".json")[0]))}
        if isinstance(configs, dict):
            settings |= {key: configs[key] for key in ("temperature", "top_p", "max_tokens") if key in configs}
        responses = [Response(text, settings=settings) for text in texts(place, record.get("output"), "output")]
        yield Row(place, responses, str(record.get("id", "")), record["question"])


def _load(path: Path) -> list[Any]:
    try:
        data = path.read_bytes()
        loaded = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check candidates.path") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{path}: not a whole JSON file ({error}); get it again") from error
    if not isinstance(loaded, list):
        raise DataError(f"{path}: expected a list of records; choose a result file of ZeroEval")
    return loaded
