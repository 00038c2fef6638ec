"""`compare`: methods on the same candidates and seeds."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from aftune.common.errors import UsageError
from aftune.pipeline import processes
from aftune.pipeline.compare import runs
from aftune.pipeline.compare.whole import run_whole
from aftune.recipe import Recipe, load_recipe, recipe_from


def compare(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] = (),
    *,
    methods: Sequence[str] | None = None,
    num_seeds: int | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Runs a comparison in the recipe's `run_dir` as `aftune compare` does, and gives what it writes to `compare.json`.

    recipe: a file, the name of one that comes with aftune (`aftune recipes`), or its keys as a dictionary. overrides: settings that
    replace its own, such as `align.beta=0.3`. methods, num_seeds, jobs: in place of those of the recipe's section `compare`;
    methods as on the command line, such as `aft-bc:beta=0.3`. Finished runs are skipped; overwrite: what is in the folder of
    another recipe is replaced.

    Raises UsageError for a recipe or a method that does not fit, StageError where runs have failed.

    >>> from tempfile import TemporaryDirectory
    >>> from aftune import compare
    >>> recipe = {
    ...     "task": {"name": "arithmetic", "train": "train[:4]", "validation": "validation[:2]", "test": "test[:2]"},
    ...     "sft": {"num_epochs": 1}, "sample": {"num_candidates": 2}, "evaluate": {"num_candidates": 2, "max_new_tokens": 64},
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     results = compare(recipe, [f"run_dir={folder}"], methods=["vft"])
    >>> [(method["title"], method["num_seeds"]) for method in results["methods"]]
    [('VFT', 1)]
    """
    if processes.number() > 1:
        raise UsageError(f"compare: works in one process, and there are {processes.number()}; use aftune compare --processes")
    if isinstance(recipe, str | Path):
        chosen = load_recipe(Path(recipe), overrides)
    else:
        values = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else deepcopy(dict(recipe))
        chosen = recipe_from(values, overrides, "compare: recipe")
    for name, number in (("num_seeds", num_seeds), ("jobs", jobs)):
        if number is not None and number < 1:
            raise UsageError(f"compare: {name} is {number}, expected 1 or more")
    wanted = runs.comparison(chosen, methods, num_seeds)
    runs.make_room(wanted, overwrite=overwrite)
    return run_whole(wanted, chosen.compare.jobs if jobs is None else jobs)
