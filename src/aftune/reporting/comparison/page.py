"""Puts the page of a comparison together."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftune.reporting.comparison.baselines import headline_baseline
from aftune.reporting.comparison.entries import (
    MARKER_WORDS,
    colour_key,
    colour_name,
    finished,
    is_ranking,
    marker,
    title,
    title_in_a_sentence,
)
from aftune.reporting.comparison.examples import Greedy, examples
from aftune.reporting.comparison.findings import caveat, findings, lead
from aftune.reporting.comparison.overview import overview, unfinished
from aftune.reporting.comparison.plots import accuracy_figure, correlation_figure
from aftune.reporting.comparison.scores import score_figures
from aftune.reporting.comparison.sweeps import BETA, K, sweep_figures
from aftune.reporting.comparison.table import tables
from aftune.reporting.curves import LogEntry
from aftune.reporting.run.facts import model_name
from aftune.reporting.templates import render


def render_comparison(
    results: Mapping[str, Any], logs: Mapping[tuple[str, int], Sequence[LogEntry]], greedy: Greedy | None = None
) -> str:
    """The whole page as HTML text.

    results: what `aftune compare` writes as compare.json. logs: the training log of each run by method and seed; those of
    runs that do not align, and keys of a log, may be missing. greedy: the answers that examples are taken from.
    """
    methods = finished(results)
    what = f"{results['task']}, {model_name(results['model'])}"
    baseline = headline_baseline(results)
    differing = examples(results, greedy)
    shapes = {marker(method).shape for method in methods}
    return render(
        "comparison/page.html.j2",
        title=f"{results['name']}: {what}" if "name" in results else what,
        lead=lead(results),
        caveat=caveat(results),
        warnings=[(warning["where"], warning["text"]) for warning in results.get("warnings", ())],
        facts=overview(results),
        findings=findings(results),
        tables=tables(results),
        links={entry.title: entry.anchor for entry in differing.values()},
        examples=list(differing.values()),
        compared=greedy is not None and baseline is not None and len(methods) > 1,
        assessed=any("assessment_accuracy" in method["metrics"] for method in methods),
        folder=next((run["folder"] for run in results["runs"] if run["method"] != "vft" and "folder" in run), None),
        settings=results.get("settings"),
        seed=None if greedy is None else greedy.seed,
        baseline=None if baseline is None else (title(baseline), colour_name(baseline), title_in_a_sentence(baseline)),
        several_seeds=len(results["seeds"]) > 1,
        colours=colour_key(methods),
        markers=[words for sign, words in MARKER_WORDS.items() if sign in shapes],
        ranking=any(map(is_ranking, methods)),
        accuracy=accuracy_figure(results),
        correlation=correlation_figure(results),
        score_figures=score_figures(results, logs),
        beta_figures=sweep_figures(results, BETA),
        k_figures=sweep_figures(results, K),
        unfinished=unfinished(results),
        num_seeds=len(results["seeds"]),
    )
