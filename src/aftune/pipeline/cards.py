"""The cards of a run's models: what each says beside the figures, and a README.md in each model's folder."""

from dataclasses import replace
from pathlib import Path

from huggingface_hub import ModelCard
from yaml import YAMLError

from aftune import tasks
from aftune.models.adapters import has_adapter
from aftune.models.loading import resolve
from aftune.pipeline.context import Context
from aftune.pipeline.directory.inputs import recorded_commit
from aftune.pipeline.recipe_task import used
from aftune.pipeline.registry import PREPARE, policies
from aftune.recipe import BUNDLED, Recipe
from aftune.recipe.names import model_names
from aftune.reporting import ReportData
from aftune.reporting.run.card import Published, model_card


def write_cards(context: Context, data: ReportData) -> None:
    """A card in the folder of each model that the run trained and still has."""
    for model, stage in policies(context.recipe).items():
        folder = context.run.path / stage / "model"
        if stage != "base" and folder.is_dir():
            said = published(context, model, str(folder), adapter=has_adapter(folder))
            [name] = model_names([model], context.recipe)
            said = replace(said, heading=f"{context.recipe.title}, {name.label}")
            model_card(data, said).save(folder / "README.md")


def published(context: Context, model: str, title: str, *, adapter: bool) -> Published:
    """What the card of a model says beside the run; see `Published`."""
    problem = context.problems("train")[0]
    _, on_hub, commit = base_of_run(context)
    return Published(
        title=title,
        model=model,
        adapter=adapter,
        prompt=str(context.tokenizer.decode(context.prompter(problem))),
        asked=context.prompter.conversation(problem),
        on_hub=on_hub,
        revision=context.recipe.model.revision,
        commit=commit,
        data_sets=_data_sets(context.recipe),
        licence=_licence(context),
    )


def _data_sets(recipe: Recipe) -> dict[str, str]:
    """The data sets of the Hub that a run reads, by the task that its problems carry."""
    found: dict[str, str] = {}
    for key, part in used(recipe).items():
        if (part.data or recipe.data) is None:
            task = tasks.find(part.name, f"{key}.name")
            sources = task.sources(None, tasks.check_options(part.name, part.options, key))
            found |= {task.problem_task(): name for name in sources.data_sets}
    return found


def base_of_run(context: Context) -> tuple[str, bool, str | None]:
    """Name or folder of the base model, whether it is on the Hub, and the commit that the run used, if known."""
    source = resolve(context.recipe.model.name)
    if Path(source).is_dir():
        return str(Path(source).resolve()), False, None
    return source, True, recorded_commit(context.run.entry(PREPARE.name)["inputs"], source)


def _licence(context: Context) -> str | None:
    """What the card in the base model's folder says, if it has one; the bundled model is ours."""
    if context.recipe.model.name == BUNDLED:
        return "mit"
    card = Path(resolve(context.recipe.model.name)) / "README.md"
    try:
        found = ModelCard.load(card).data.get("license") if card.is_file() else None
    except (OSError, ValueError, YAMLError):  # a page of any kind
        return None
    return found if isinstance(found, str) else None
