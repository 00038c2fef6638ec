"""Stage `label`: groups of judged candidates."""

import json

from aftune.labelling import label_candidates
from aftune.pipeline.context import Context, Summary
from aftune.records import Candidate, read_records, write_lines, write_records


def label(context: Context) -> Summary:
    """Writes `groups.jsonl`, `left_out.jsonl` and, where verdicts were published with the candidates, `disagreements.jsonl`."""
    folder = context.folder("label")
    candidates = read_records(context.folder("sample") / "candidates.jsonl", Candidate)
    labelled = label_candidates(context.task, context.problems("train"), candidates, context.recipe.label.reading)
    write_records(folder / "groups.jsonl", labelled.groups)
    write_lines(folder / "left_out.jsonl", (json.dumps(row, ensure_ascii=False) for row in labelled.left_out))
    if "published_verdicts" in labelled.counts:
        write_lines(folder / "disagreements.jsonl", (json.dumps(row, ensure_ascii=False) for row in labelled.disagreements))
    return labelled.counts
