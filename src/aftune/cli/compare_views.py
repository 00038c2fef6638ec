"""What `aftune compare` prints: the plan, the runs as they end, and the table of methods."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune.cli.durations import format_duration
from aftune.cli.run_views import print_obstacle
from aftune.common.wording import counted
from aftune.pipeline.compare.methods import METHODS
from aftune.pipeline.compare.runs import Comparison
from aftune.pipeline.compare.whole import run_whole
from aftune.pipeline.estimate import cost, speed
from aftune.pipeline.estimate.machines import busy
from aftune.pipeline.plans import Plan
from aftune.reporting.comparison import headline_baseline


def print_plan(wanted: Comparison, console: Console) -> None:
    """Which runs would be made; nothing is run or written."""
    for note in wanted.notes:
        console.print(note, soft_wrap=True)
    table = Table(title="Runs", title_justify="left", box=None, pad_edge=False)
    for heading in ("method", "what it is", "changes in the recipe", *(f"seed {seed}" for seed in wanted.seeds)):
        table.add_column(heading, overflow="fold")
    shared = {seed: wanted.shared(seed).plan() for seed in wanted.seeds}
    print_obstacle(wanted.recipe, [item for plans in shared.values() for item in plans], console)
    table.add_row("(shared)", "one VFT model, one set of candidates", "", *map(_state, shared.values()))
    planned = [(wanted.shared(seed).recipe, plans) for seed, plans in shared.items()]
    for method in wanted.methods:
        recipes = {seed: wanted.method_recipe(method, seed) for seed in wanted.seeds}
        own = [(recipe, wanted.method_plan(method, seed, shared[seed])) for seed, recipe in recipes.items()]
        changes = ", ".join(f"{key}={value}" for key, value in {**method.settings, **method.varied}.items())
        table.add_row(method.name, method.title, changes, *(_state(plans) for _, plans in own))
        planned += own
    console.print(table)
    waiting = [(recipe, cost.unfinished(plans)) for recipe, plans in planned]
    costs = [item for recipe, stages in waiting for item in cost.estimate(recipe, stages)]
    _print_cost(wanted, costs, sum(bool(stages) for _, stages in waiting), console)


def _print_cost(wanted: Comparison, costs: Sequence[cost.StageCost], num_runs: int, console: Console) -> None:
    """Prints the cost of what is not finished."""
    load = busy()
    if not costs:
        console.print("All runs are finished. Nothing was run or written.")
        return
    tokens = sum(item.num_tokens for item in costs)
    taken = speed.duration(costs, wanted.recipe, speed.measured_speed(wanted.recipe))
    time = "an unknown time (the model is not here)" if taken is None else f"{format_duration(taken)} ({taken.why})"
    console.print(
        f"{counted(num_runs, 'run')} would compute {tokens:,.1f} million tokens and take {time} one after the other on this "
        f"machine; parallel runs share its cores. {load}Nothing was run or written.",
        soft_wrap=True,
    )


def print_methods(console: Console) -> None:
    """The names that `--methods` takes, and what they do; docs/which-method.md says which to take."""
    for method in METHODS.values():
        console.print(f"{method.name:<12}  {method.title:<17}  {escape(method.meaning)}", highlight=False, soft_wrap=True)
    console.print("Settings of align may follow a name: aft-bc:beta=0.3:k=4, aft:feedback=ranking.", highlight=False)
    console.print("Those of rl may follow grpo and rloo: grpo:learning_rate=1e-5:kl_weight=0.04.", highlight=False)


def _state(plans: Sequence[Plan]) -> str:
    statuses = {item.status for item in plans}
    return "finished" if statuses == {"finished"} else "new" if statuses == {"new"} else "continues"


def run_and_print(wanted: Comparison, jobs: int, console: Console) -> None:
    """Runs the comparison, writes its results and prints the table; raises StageError at the end if runs failed."""

    def show(results: Mapping[str, Any]) -> None:
        print_table(results, console)
        console.print(
            f"written: [bold]{escape(str(wanted.recipe.run_dir / 'compare.html'))}[/bold], compare.csv, compare.json",
            soft_wrap=True,
        )

    sizes = f"{counted(len(wanted.methods), 'method')}, {counted(len(wanted.seeds), 'seed')}"
    console.print(f"{sizes}, {counted(jobs, 'run')} at a time -> {escape(str(wanted.recipe.run_dir))}")
    for note in (*wanted.notes, *filter(None, [busy()])):
        console.print(note, soft_wrap=True)
    run_whole(wanted, jobs, lambda line: console.print(line, soft_wrap=True), show)


def print_table(results: Mapping[str, Any], console: Console) -> None:
    """Methods side by side: means over the seeds, and the difference from a baseline."""
    methods = [method for method in results["methods"] if method["num_seeds"]]
    baseline = headline_baseline(results)
    measured = {key: column for key, column in _MORE.items() if any(key in method["metrics"] for method in methods)}
    name = f"{escape(results['name'])}: " if "name" in results else ""
    seeds = ("seeds " if len(results["seeds"]) > 1 else "seed ") + ", ".join(map(str, results["seeds"]))
    title = f"{name}{escape(results['task'])}, {seeds}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("method", overflow="fold")
    table.add_column("accuracy", justify="right", no_wrap=True)
    if baseline is not None:
        table.add_column("minus " + baseline["title"].replace(", ", ",\n"), justify="right", no_wrap=True)
    for heading, _, _ in measured.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for method in methods:
        metrics = method["metrics"]
        table.add_row(
            escape(method["title"]),
            _percent(metrics.get("accuracy"), spread=True),
            *([] if baseline is None else [_difference(method["differences"].get(baseline["name"]))]),
            *(show(metrics.get(key)) for key, (_, show, _) in measured.items()),
        )
    console.print()
    console.print(table)
    spread = ", ± over seeds" if len(results["seeds"]) > 1 else ""
    notes = [f"accuracy: greedy answers, %{spread}"]
    if baseline is not None:
        notes.append("minus: points on the same problems, with 95 % interval")
    console.print("; ".join([*notes, *(meaning for _, _, meaning in measured.values())]), style="dim")
    if results.get("warnings"):
        console.print(f"[yellow]{counted(len(results['warnings']), 'warning')}: see above, or the page[/yellow]", soft_wrap=True)


def _percent(metric: Mapping[str, Any] | None, *, spread: bool = False) -> str:
    if metric is None:
        return "-"
    return f"{100 * metric['mean']:.1f}" + (f" ± {100 * metric['sd']:.1f}" if spread and metric["sd"] is not None else "")


def _number(metric: Mapping[str, Any] | None) -> str:
    return "-" if metric is None else f"{metric['mean']:.3f}"


# What the table shows after accuracy, if it was measured, and what that means; narrow, so that the names of the methods fit into 80
# columns too.
_MORE: dict[str, tuple[str, Callable[[Mapping[str, Any] | None], str], str]] = {
    "assessment_accuracy": ("assess-\nment", _percent, "assessment: assessment accuracy, %"),
    "vote_accuracy": ("vote", _percent, "vote: majority of samples, %"),
    "reference_perplexity": ("perplex-\nity", _number, "perplexity: of the references, lower is likelier"),
}


def _difference(paired: Mapping[str, Any] | None) -> str:
    if paired is None:
        return ""
    low, high = (100 * bound for bound in paired["ci95"])
    return f"{100 * paired['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
