"""Puts the page together. Everything but our own SVG goes through autoescape: model text cannot become markup."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aftune.reporting import facts, plots, results
from aftune.reporting.curves import warnings
from aftune.reporting.data import ReportData
from aftune.reporting.labelling import labelling_tables
from aftune.reporting.reading import groups_to_read

_LEFT_OUT_SHOWN = 20


def render_page(data: ReportData) -> str:
    """The whole page as HTML text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=f"{data.recipe.task.title}, {facts.model_name(data)}",
        lead=results.lead(data),
        facts=facts.facts(data),
        stage_times=facts.stage_times(data),
        recipe_yaml=data.recipe.to_yaml(),
        results=results.result_rows(data),
        num_problems=max((result["num_problems"] for result in data.metrics["results"].values()), default=0),
        num_assessed=max((result.get("num_assessed_problems", 0) for result in data.metrics["results"].values()), default=0),
        comparisons=results.comparisons(data),
        tasks=results.task_tables(data),
        operations=results.operations_table(data),
        operations_figure=plots.operations_figure(data),
        result_figures=plots.result_figures(data),
        labelling=labelling_tables(data.summary("label")),
        left_out=data.left_out[:_LEFT_OUT_SHOWN],
        num_left_out=len(data.left_out),
        score_figures=plots.score_figures(data),
        warnings=warnings(data),
        vft_figures=plots.vft_figures(data),
        alignment_figures=plots.alignment_figures(data),
        groups=groups_to_read(data),
        num_groups=len(data.groups),
        imported=data.recipe.candidates is not None,
    )
