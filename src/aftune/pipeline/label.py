"""Stage `label`: groups of judged candidates."""

import json
from collections.abc import Sequence

from aftune.encoding import encode_candidate, encode_prompt
from aftune.labelling import Labelled, label_candidates
from aftune.pipeline.context import Context, Summary
from aftune.records import Candidate, Problem, read_records, write_lines, write_records


def label(context: Context) -> Summary:
    """Writes `groups.jsonl`, `left_out.jsonl` and, where verdicts were published with the candidates, `disagreements.jsonl`."""
    folder = context.folder("label")
    candidates = read_records(context.folder("sample") / "candidates.jsonl", Candidate)
    labelled = judge(context, context.problems("train"), candidates)
    write_records(folder / "groups.jsonl", labelled.groups)
    write_lines(folder / "left_out.jsonl", (json.dumps(row, ensure_ascii=False) for row in labelled.left_out))
    if "published_verdicts" in labelled.counts:
        write_lines(folder / "disagreements.jsonl", (json.dumps(row, ensure_ascii=False) for row in labelled.disagreements))
    return labelled.counts


def judge(context: Context, problems: Sequence[Problem], candidates: Sequence[Candidate]) -> Labelled:
    """Labels with the recipe's task and reading, and the length of the model's context."""

    def fits(problem: Problem, candidate: Candidate) -> bool:
        prompt = encode_prompt(context.tokenizer, context.task.prompt(problem))
        return len(prompt) + len(encode_candidate(context.tokenizer, candidate)) <= context.context_length

    return label_candidates(context.task, problems, candidates, context.recipe.label.reading, fits)
