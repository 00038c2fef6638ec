"""Results of a batch in OpenAI's format, as vLLM (`vllm run-batch`) and hosted services write them: one request per line.

`custom_id` is the problem's id, or `ID#NUMBER` for the candidates of a problem that were asked for one by one. Requests
that failed are left out, with the reason.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.common.wording import cut_short
from aftune.interchange.importers.responses import Response, Row, index_of
from aftune.recipe import ColumnsSection

_FINISHED: dict[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """A row for each request; raises a DataError that names the line of a bad record."""
    for place, row in read_rows(path):
        try:
            problem_id, _, number = str(row["custom_id"]).rpartition("#")
            numbered = bool(problem_id) and number.isdecimal()
            yield Row(place, list(_responses(place, row)), problem_id if numbered else str(row["custom_id"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{place}: expected custom_id and response.body.choices with message.content; correct this line"
            ) from error


def _responses(place: str, row: dict[str, Any]) -> Iterator[Response]:
    answer = row.get("response") or {}
    if row.get("error") or answer.get("status_code", 200) != 200:
        yield Response("", unusable=cut_short(f"the request failed: {row.get('error') or answer.get('status_code')}", 300))
        return
    body = answer["body"]
    settings = {"model": body["model"]} if "model" in body else {}
    for choice in sorted(body["choices"], key=lambda choice: index_of(place, choice.get("index"), "index") or 0):
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        finish = choice.get("finish_reason") or "stop"
        if not isinstance(text, str) or finish not in _FINISHED:
            yield Response(text if isinstance(text, str) else "", unusable=f"finish_reason {finish!s:.80}, no usable text")
            continue
        yield Response(text, _FINISHED[finish], settings=settings)
