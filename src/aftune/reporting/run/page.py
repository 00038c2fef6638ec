"""Puts the page of a run together."""

import shlex

from aftune.common.wording import counted
from aftune.recipe.names import method_name, model_names, start_name
from aftune.reporting.run import facts, plots, result_tables
from aftune.reporting.run.answers import answers
from aftune.reporting.run.data import ReportData
from aftune.reporting.run.label_tables import labelling_tables
from aftune.reporting.run.reading import groups_to_read
from aftune.reporting.run.terms import terms
from aftune.reporting.templates import render

_LEFT_OUT_SHOWN = 20


def render_page(data: ReportData) -> str:
    """The whole page as HTML text."""
    what = f"{data.recipe.task_title}, {facts.model_name(data.recipe.model.name)}"
    return render(
        "run/page.html.j2",
        title=what if data.recipe.name is None else f"{data.recipe.name}: {what}",
        lead=result_tables.lead(data),
        model_folder=data.model_folder,
        run_dir=shlex.quote(str(data.recipe.run_dir)),
        adapter=data.recipe.adapter.kind != "none",
        terms=terms(data),
        answers=answers(data),
        facts=facts.facts(data),
        stage_times=facts.stage_times(data),
        counted=counted,
        recipe_yaml=data.recipe.to_yaml(),
        results=result_tables.result_rows(data),
        num_problems=max((result["num_problems"] for result in data.metrics["results"].values()), default=0),
        num_assessed=max((result.get("num_assessed_problems", 0) for result in data.metrics["results"].values()), default=0),
        models_note=facts.models_note(data),
        method=method_name(data.recipe.align),
        start=model_names([start_name(data.recipe)], data.recipe)[0].label,
        comparisons=result_tables.comparisons(data),
        tasks=result_tables.task_tables(data),
        operations=result_tables.operations_table(data),
        operations_figure=plots.operations_figure(data),
        result_figures=plots.result_figures(data),
        labelling=labelling_tables(data.summary("label")),
        left_out=data.left_out[:_LEFT_OUT_SHOWN],
        num_left_out=len(data.left_out),
        score_figures=plots.score_figures(data),
        warnings=data.warnings,
        vft_figures=plots.vft_figures(data),
        alignment_figures=plots.alignment_figures(data),
        groups=groups_to_read(data),
        num_groups=len(data.groups),
        imported=data.recipe.candidates is not None,
    )
