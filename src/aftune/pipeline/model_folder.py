"""A model of a run as a folder of its own, which others load without aftune, with a card that says what it is."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from aftune.common.errors import StageError, UsageError
from aftune.common.json_text import read_json, write_json
from aftune.models.adapters import CONFIG, add_adapter, has_adapter, merged
from aftune.models.loading import load_model
from aftune.models.saving import saved_dtype
from aftune.pipeline.cards import base_of_run, published
from aftune.pipeline.context import Context
from aftune.pipeline.plans import Plan, recorded_plan
from aftune.pipeline.registry import EVALUATE, policies
from aftune.pipeline.stages.report import gather
from aftune.reporting import ReportData
from aftune.reporting.run.card import model_card

FORMS = ("merged", "adapter")


def write_model_folder(context: Context, form: str, out: Path, model: str = "aligned", title: str | None = None) -> int:
    """Writes a model, its tokenizer and its card to a new folder, whole or not at all, and gives the number of files.

    form: `merged`, a plain model, or `adapter`. model: its key in metrics.json. title: the name that it is loaded by, if not that
    of the folder. Raises UsageError for a model or an adapter that the run does not have and for a folder that is not empty,
    StageError where the run has not got that far.
    """
    plans = {item.stage.name: item for item in recorded_plan(context.recipe, context.run)}
    stage = _stage_of(context, model)
    _check_finished(context, plans[stage])
    if form == "adapter" and context.recipe.adapter.kind == "none":
        raise UsageError(f"--to adapter: {context.run.path} trained all weights (adapter.kind is none); use --to merged")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out: {out} is not empty; choose a new folder")
    said = published(context, model, title or out.resolve().name, adapter=form == "adapter")
    card = model_card(_data(context, plans), said)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        folder = Path(place) / "model"
        if form == "adapter":
            shutil.copytree(context.adapter_folder(stage), folder)
            _record_base(context, folder)
        else:
            _write_merged(context, Path(context.policy_folder(stage)), folder)
        card.save(folder / "README.md")
        folder.replace(out)
    return sum(path.is_file() for path in out.rglob("*"))


def _stage_of(context: Context, model: str) -> str:
    trained = {key: stage for key, stage in policies(context.recipe).items() if stage != "base"}
    if model not in trained:
        raise UsageError(f"--model is {model!r}, expected one of {', '.join(trained)}")
    return trained[model]


def _check_finished(context: Context, item: Plan) -> None:
    run, why = context.run.path, f" ({item.reason})" if item.reason else ""
    if run.parent.name == "methods":
        raise UsageError(f"{run} is one method of a comparison, not a whole run; its model is in {run / item.stage.name / 'model'}")
    if item.status != "finished":
        raise StageError(f"{run}: stage {item.stage.name} is not finished{why}; run `aftune run {run / 'recipe.yaml'}` first")


def _write_merged(context: Context, folder: Path, out: Path) -> None:
    """A plain model as it is; base model and adapter merged on the CPU, where there is room for a large one in float32."""
    if not has_adapter(folder):
        shutil.copytree(folder, out)
        return
    _, _, commit = base_of_run(context)
    section = context.recipe.model
    section = section.model_copy(update={"device": "cpu", "revision": commit or section.revision})
    base = load_model(section.name, section, float32=True)
    model = merged(add_adapter(base, context.recipe.adapter, folder)).to(saved_dtype(section))
    context.save_policy(model, out)


def _record_base(context: Context, folder: Path) -> None:
    source, _, commit = base_of_run(context)
    recorded = {"base_model_name_or_path": source, "revision": commit or context.recipe.model.revision}
    write_json(folder / CONFIG, read_json(folder / CONFIG) | recorded)


def _data(context: Context, plans: dict[str, Plan]) -> ReportData:
    """What the card is made from; without figures where the models of now were not evaluated."""
    if plans[EVALUATE.name].status == "finished":
        return gather(context)
    entries = context.run.manifest()["stages"]
    return ReportData(context.recipe, {name: entries[name] for name in plans if name in entries}, {"results": {}})
