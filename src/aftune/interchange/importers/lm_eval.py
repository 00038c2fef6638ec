"""Samples of lm-evaluation-harness (`lm_eval --log_samples`): `samples_TASK_TIME.jsonl`, one document per line.

`resps` has a list of responses for each request of a document. Tasks that compare log-likelihoods have no texts there:
those lines are left out, with the reason. Whether a response was cut off is not in the file.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.interchange.importers.responses import Response, Row
from aftune.recipe import ColumnsSection


def rows(path: Path, columns: ColumnsSection) -> Iterator[Row]:
    """The responses before any filter; the lines of a document, one for each filter, repeat them, and only the first counts.

    Problems are found by the document's id or question (`columns`). Raises a DataError that names the line of a bad record, or of
    one that repeats the id of another document.
    """
    seen: dict[str | int, tuple[str, int]] = {}  # by document: its first filter, and a hash of what all its lines have
    for place, row in read_rows(path):
        if not isinstance(row, dict) or not isinstance(row.get("doc"), dict) or not isinstance(row.get("resps"), list):
            raise DataError(f"{place}: expected doc and resps; write the file with lm_eval --log_samples")
        name = str(row.get("filter", "none"))
        document = row.get("doc_id", place)
        if not isinstance(document, str | int):
            raise DataError(f"{place}: doc_id is {document!r:.80}, expected a number; correct this line")
        same = hash(json.dumps([row["doc"], row["resps"]], sort_keys=True))
        first, expected = seen.setdefault(document, (name, same))
        if first != name:
            if same != expected:
                raise DataError(
                    f"{place}: doc_id {document!r:.80} has another doc or other resps in a line above, expected the same ones for "
                    "every filter; write the file with lm_eval --log_samples"
                )
            continue
        doc = row["doc"]
        flat = [text for request in row["resps"] for text in (request if isinstance(request, list) else [request])]
        responses = [
            Response(text, settings={"made_by": "lm_eval"})
            if isinstance(text, str)
            else Response("", unusable="log-likelihoods, no text")
            for text in flat
        ]
        problem_id, question = doc.get(columns.problem_id), doc.get(columns.question)
        yield Row(place, responses, None if problem_id is None else str(problem_id), None if question is None else str(question))
