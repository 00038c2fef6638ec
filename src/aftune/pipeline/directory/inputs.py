"""What a run reads from outside its directory: data files, the model's files, imported candidates, repositories of the Hub.

A file counts by its content: it may move, and its folder may be spelled differently. A task says itself which files it reads
(`Task.sources`); whatever else is in its folder does not count.
"""

from pathlib import Path

from aftune import tasks
from aftune.common import hub
from aftune.interchange.importers import source_files
from aftune.pipeline.directory.run_directory import hash_file
from aftune.pipeline.recipe_task import used
from aftune.recipe import Recipe

# By name: the hash of a file, or the commit of a repository of the Hub, None while this machine has nothing of it.
Inputs = dict[str, str | None]


def problem_inputs(recipe: Recipe) -> Inputs:
    """The files of the tasks and of the model."""
    from aftune.models.loading import model_files, resolve  # brings torch, which looking at a run does not need

    found: Inputs = {}
    for key, part in used(recipe).items():
        task = tasks.find(part.name, f"{key}.name")
        sources = task.sources(part.data or recipe.data, tasks.check_options(part.name, part.options, key))
        prefix = "" if key == "task" else f"{key}."
        found |= {f"{prefix}data {name}": hash_file(path) for name, path in sorted(sources.files.items()) if path.is_file()}
        found |= {f"{prefix}data {name} of the Hub": hub.cached_commit(name, "dataset") for name in sources.data_sets}
    model = recipe.model
    source = resolve(model.name, model.revision)
    if not Path(source).is_dir():
        return found | {_of_hub(source): hub.cached_commit(source, "model", model.revision)}
    return found | {f"model {path.relative_to(source).as_posix()}": hash_file(path) for path in model_files(Path(source))}


def recorded_commit(inputs: Inputs, name: str) -> str | None:
    """The commit of a model of the Hub among inputs of `prepare`; None where it was not known."""
    return inputs.get(_of_hub(name))


def _of_hub(name: str) -> str:
    return f"model {name} of the Hub"


def import_inputs(recipe: Recipe) -> Inputs:
    """The files of imported candidates."""
    if recipe.candidates is None:
        return {}
    files = source_files(recipe.candidates, recipe.data)
    if len(files) == 1:
        return {"candidates": hash_file(files[0])}
    return {f"candidates {path.name}": hash_file(path) for path in files}
