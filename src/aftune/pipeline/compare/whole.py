"""A whole comparison: its runs, its results, and an error at the end where runs have failed."""

from collections.abc import Callable, Mapping
from typing import Any

from aftune.common.errors import StageError
from aftune.pipeline.compare import runs
from aftune.pipeline.compare.results import gather, write
from aftune.pipeline.compare.runs import Comparison


def run_whole(
    wanted: Comparison,
    jobs: int,
    report: Callable[[str], None] = lambda line: None,
    show: Callable[[Mapping[str, Any]], None] = lambda results: None,
) -> dict[str, Any]:
    """Runs whatever is not finished, writes the results and gives them. show: what is done with them before the StageError that is
    raised where runs have failed."""
    num_runs = len(wanted.seeds) * (1 + len(wanted.methods))
    failures = runs.run(wanted, jobs, report)
    results = gather(wanted)
    if results["runs"] or not failures:  # without results there is nothing to write
        write(wanted, results)
        show(results)
    if failures:
        raise StageError(f"{len(failures)} of {num_runs} runs failed; the first: {failures[0].what}: {failures[0].message}")
    return results
