"""Comparison of methods: for each seed one VFT model and one set of candidates, from which every method starts.

`RUN_DIR/seed-N` is an ordinary run directory with the shared stages; `RUN_DIR/seed-N/methods/NAME` is one for each method. All
are resumed stage by stage. With several jobs, methods run side by side in processes of their own.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.markup import escape

from aftune.common.diagnosis import diagnose
from aftune.common.errors import UsageError
from aftune.pipeline import processes, registry, runner
from aftune.pipeline.compare import methods as known
from aftune.pipeline.compare.methods import Method
from aftune.pipeline.compare.pace import Pace, Run
from aftune.pipeline.directory import claim
from aftune.pipeline.directory.run_directory import RunDirectory, missing_folders, remove_made
from aftune.pipeline.look.places import is_run
from aftune.pipeline.machine_checks import check_rl
from aftune.pipeline.plans import Plan, Shared, plan
from aftune.pipeline.precision_choice import settle
from aftune.pipeline.workers import executor
from aftune.recipe import Recipe, with_settings

RESULTS = ("compare.html", "compare.csv", "compare.json")


@dataclass(frozen=True)
class Comparison:
    """What is compared: `methods` over `seeds`, below `recipe.run_dir`, all in one precision; `notes`: how it was chosen."""

    recipe: Recipe
    methods: Sequence[Method]
    seeds: Sequence[int]
    notes: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        return [method.name for method in self.methods]

    def shared(self, seed: int) -> Shared:
        """A seed's run of the shared stages, which its methods build on."""
        recipe = with_settings(self.recipe, {"seed": seed, "run_dir": str(_seed_folder(self.recipe, seed))}, "compare")
        with_reference = any(registry.needs_reference(method.recipe(recipe)) for method in self.methods)
        return Shared(recipe, registry.shared_stages(recipe, with_reference=with_reference))

    def method_recipe(self, method: Method, seed: int) -> Recipe:
        recipe = method.recipe(self.shared(seed).recipe)
        return recipe.model_copy(update={"run_dir": recipe.run_dir / "methods" / method.folder})

    def method_plan(self, method: Method, seed: int, shared: Sequence[Plan]) -> list[Plan]:
        """What would happen to the stages of a method's run; shared: the plan of those that it builds on."""
        recipe = self.method_recipe(method, seed)
        return plan(recipe, RunDirectory(recipe.run_dir), method.stages(recipe), shared)


def comparison(recipe: Recipe, methods: Iterable[str] | None = None, num_seeds: int | None = None) -> Comparison:
    """A recipe's comparison, with other methods or another number of seeds where given; raises UsageError for what does not
    fit, before anything runs."""
    names = list(recipe.compare.methods if methods is None else methods)
    chosen = [known.parse(name) for name in names]
    repeated = sorted({method.name for method in chosen if [m.name for m in chosen].count(method.name) > 1})
    if repeated or not chosen:
        found = f"repeated: {', '.join(repeated)}" if repeated else "the list is empty"
        raise UsageError(f"compare: expected methods, each once; {found}")
    recipe, notes = _beside_a_run(recipe)
    runner.check(recipe)
    for method in chosen:
        runner.check(method.recipe(recipe))
        if method.trains is registry.RL:
            check_rl(method.recipe(recipe))
    number = recipe.compare.num_seeds if num_seeds is None else num_seeds
    seeds = range(recipe.seed, recipe.seed + number)
    settled = settle(recipe, [RunDirectory(_seed_folder(recipe, seed)) for seed in seeds])
    return Comparison(settled.recipe, chosen, seeds, [*notes, *settled.lines()])


def _beside_a_run(recipe: Recipe) -> tuple[Recipe, list[str]]:
    """With a folder of its own where `run_dir` is that of a run, which would hide the comparison; one that is there stays."""
    if not is_run(recipe.run_dir) or any(recipe.run_dir.glob("seed-*")):
        return recipe, []
    own = recipe.run_dir.with_name(f"{recipe.run_dir.name}-compare")
    return recipe.model_copy(update={"run_dir": own}), [
        f"{recipe.run_dir} holds a run, so the comparison goes to {own}, with a VFT model of its own"
    ]


def _seed_folder(recipe: Recipe, seed: int) -> Path:
    return recipe.run_dir / f"seed-{seed}"


def make_room(wanted: Comparison, *, overwrite: bool) -> None:
    """Raises UsageError where the directory of a seed holds the run of another recipe, unless that is to be overwritten: then it is
    removed. Results that the runs will make out of date are removed too."""
    plans = []
    for seed in wanted.seeds:
        shared = wanted.shared(seed)
        run = RunDirectory(shared.recipe.run_dir)
        earlier = shared.plan()
        if claim.claim(shared.recipe, run, earlier, overwrite=overwrite):
            earlier = shared.plan()
        plans += earlier
        for method in wanted.methods:
            plans += wanted.method_plan(method, seed, earlier)
    if all(item.status == "new" for item in plans) or any(item.status == "redo" for item in plans):
        for name in RESULTS:
            (wanted.recipe.run_dir / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error; the others went on."""

    what: str
    message: str


def run(wanted: Comparison, jobs: int, report: Callable[[str], None]) -> list[Failure]:
    """Runs whatever is not finished, `jobs` runs at a time; gives the failures. report: takes a line where a run begins, with how
    many are done and the time left, and those of each run as it ends. Of several processes only the one that leads calls this, for
    one run at a time; there the first failure is raised."""
    if jobs > 1 and processes.number() > 1:
        raise UsageError(f"compare.jobs: {jobs} runs at a time, each in {processes.number()} processes; set one of the two to 1")
    failures: list[Failure] = []
    pace = Pace(_seconds(wanted), jobs)
    with _recipe_written(wanted), executor(jobs) as workers:
        queue: deque[Run] = deque((seed, None) for seed in wanted.seeds)
        waiting: dict[Future[list[str]], Run] = {}
        while queue or waiting:
            while queue and len(waiting) < jobs:
                seed, name = queue.popleft()
                if (seed, name) in pace.to_do:
                    report(f"[bold]{_what(seed, name)}[/bold]  {pace.position()}")
                here = partial(_report_one, report, _what(seed, name)) if jobs == 1 else None
                waiting[workers.submit(_run, wanted.recipe, wanted.names, seed, name, here)] = (seed, name)
            done = wait(waiting, return_when=FIRST_COMPLETED).done
            for future in [future for future in waiting if future in done]:  # in the order in which they began
                seed, name = waiting.pop(future)
                what = _what(seed, name)
                try:
                    for line in future.result():
                        _report_one(report, what, line)
                except BrokenProcessPool:
                    raise  # no run can be given to these workers any more
                except Exception as error:
                    if processes.number() > 1:
                        raise  # in which the others have ended too
                    failures.append(Failure(what, str(diagnose(error))))
                    report(f"[red]{what}: {escape(failures[-1].message)}[/red]")
                    pace.failed(seed, name)
                else:
                    pace.ended(seed, name, _run_seconds(wanted, seed, name))
                    if name is None:  # a seed's methods come before the next seed
                        queue.extendleft((seed, other) for other in reversed(wanted.names))
    return failures


def _what(seed: int, name: str | None) -> str:
    return f"seed {seed}, {name or 'shared stages'}"


def _seconds(wanted: Comparison) -> dict[Run, float | None]:
    """What each run has taken; None where it is not finished."""
    found: dict[Run, float | None] = {}
    for seed in wanted.seeds:
        shared = wanted.shared(seed).plan()
        by_name: dict[str | None, Sequence[Plan]] = {None: shared}
        by_name |= {method.name: wanted.method_plan(method, seed, shared) for method in wanted.methods}
        for name, plans in by_name.items():
            finished = all(item.status == "finished" for item in plans)
            found[seed, name] = _run_seconds(wanted, seed, name) if finished else None
    return found


def _run_seconds(wanted: Comparison, seed: int, name: str | None) -> float:
    """What a finished run has taken."""
    recipe = wanted.shared(seed).recipe if name is None else wanted.method_recipe(known.parse(name), seed)
    return sum(float(entry.get("seconds", 0)) for entry in RunDirectory(recipe.run_dir).manifest()["stages"].values())


@contextmanager
def _recipe_written(wanted: Comparison) -> Iterator[None]:
    """Writes what is compared into the folder, for whoever looks at it; nothing stays there if no run came to anything."""
    folder = wanted.recipe.run_dir
    made = missing_folders(folder)
    chosen = {"compare.methods": wanted.names, "compare.num_seeds": len(wanted.seeds)}
    RunDirectory(folder).write_recipe(with_settings(wanted.recipe, chosen, "compare"))
    try:
        yield
    finally:
        if not any(folder.glob("seed-*")):
            (folder / "recipe.yaml").unlink(missing_ok=True)
            remove_made(made)


def _report_one(report: Callable[[str], None], what: str, line: str) -> None:
    report(f"[dim]{what}:[/dim] {line}")


def _run(
    recipe: Recipe, names: Sequence[str], seed: int, name: str | None, report: Callable[[str], None] | None = None
) -> list[str]:
    """Does one run of a comparison, a seed's shared stages or a method, in any process; gives the lines that it reports where
    nobody takes them at once."""
    wanted = comparison(recipe, names)
    shared = wanted.shared(seed)
    lines: list[str] = []
    report = report or lines.append
    if name is None:
        runner.run_stages(shared.recipe, stages=shared.stages, report=report)
    else:
        method = known.parse(name)
        own = wanted.method_recipe(method, seed)
        runner.run_stages(own, stages=method.stages(own), shared=shared, report=report)
    return lines
