"""Greedy responses with their verdicts in the shape of lm-evaluation-harness's samples (`--log_samples`)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aftune.common.text_files import write_lines
from aftune.interchange.exporters import Ask, as_rows
from aftune.records import Problem


def write(path: Path, problems: Iterable[Problem], verdicts: Iterable[Any], ask: Ask) -> dict[str, int]:
    """Writes a line for each problem; verdicts are in the order of the problems."""
    num_samples = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal num_samples
        for num_samples, (problem, verdict) in enumerate(zip(problems, verdicts, strict=True), 1):
            yield sample(num_samples - 1, problem, verdict, ask(problem))

    write_lines(path, as_rows(rows()))
    return {"samples": num_samples}


def sample(number: int, problem: Problem, verdict: Any, prompt: Any) -> dict[str, Any]:
    """`exact_match` is our verdict; `filtered_resps` has the answer that was read, empty where there was none. Answers and verdicts
    by each reading are added where they are known."""
    by_reading = {"answer_by_reading": verdict.answer_by_reading, "right_by_reading": verdict.right_by_reading}
    return {
        "doc_id": number,
        "doc": {
            "problem_id": problem.id,
            "question": problem.question,
            "answer": problem.rationale or problem.gold_answer,
            **({"options": problem.options} if problem.options else {}),
        },
        "target": problem.gold_answer,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"do_sample": False}}},
        "resps": [[verdict.text]],
        "filtered_resps": [verdict.answer or ""],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": float(verdict.right),
        "finish_reason": verdict.finish_reason,
        "reason": verdict.reason,
        **{name: values for name, values in by_reading.items() if values is not None},
    }
