"""Stage `report`: `report.html` and `metrics.json` at the top of the run directory."""

from aftune.common.json_text import read_json, write_json
from aftune.common.text_files import write_lines
from aftune.pipeline.cards import write_cards
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.directory.metrics_file import read_metrics
from aftune.pipeline.registry import enabled_stages, policies
from aftune.records import Group, GroupScores, JudgedResponse
from aftune.records.large_files import RecordFile
from aftune.reporting import ReportData, render_page
from aftune.reporting.run.reading import choose


def report(context: Context) -> Summary:
    """Writes the page, a copy of the metrics and the cards of the models; reads what the stages wrote and runs no model."""
    data = gather(context)
    write_cards(context, data)
    write_json(context.run.path / "metrics.json", data.metrics)
    page = context.run.path / "report.html"
    write_lines(page, [render_page(data)])
    return {"page": str(page), "groups": len(choose(data.groups, context.recipe.report.num_groups))}


def gather(context: Context) -> ReportData:
    """The report's data from the stage folders and the manifest, without this stage itself and without disabled ones."""
    manifest = context.run.manifest()
    names = [stage.name for stage in enabled_stages(context.recipe) if stage.name != "report"]
    evaluated = context.folder("evaluate")
    metrics = read_metrics(evaluated / "metrics.json")
    return ReportData(
        recipe=context.recipe,
        stages={name: manifest["stages"][name] for name in names if name in manifest["stages"]},
        metrics=metrics,
        versions=manifest.get("versions", {}),
        machine=manifest.get("machine", {}),
        left_out=read_json(context.folder("prepare") / "left_out.json", missing=[]),
        logs={
            name: read_json(context.folder(name) / "log.json", missing=[]) for name in ("sft", "align", "control") if name in names
        },
        groups=RecordFile(evaluated / "groups.jsonl", Group),
        scores={name: RecordFile(evaluated / name / "scores.jsonl", GroupScores) for name in metrics["results"]},
        model_folder=str(context.run.path / policies(context.recipe)["aligned"] / "model"),
        verdicts={name: RecordFile(evaluated / name / "verdicts.jsonl", JudgedResponse) for name in metrics["results"]},
    )
