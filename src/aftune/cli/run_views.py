"""What a run prints: the plan of a dry run and the table of results."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from aftune.cli import memory_views
from aftune.cli.durations import format_duration
from aftune.common.errors import DataError
from aftune.common.wording import counted
from aftune.interchange.importers import check_source
from aftune.pipeline import runner
from aftune.pipeline.directory import claim
from aftune.pipeline.directory.metrics_file import read_metrics
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.estimate import cost, speed
from aftune.pipeline.estimate.kinds import kinds
from aftune.pipeline.estimate.machines import Machine, busy, parse_machine, processes_on, this_machine
from aftune.pipeline.estimate.weights import num_parameters
from aftune.pipeline.machine_checks import engines, launch_obstacle
from aftune.pipeline.plans import Plan, plan
from aftune.pipeline.precision_choice import settle, settle_elsewhere
from aftune.pipeline.registry import SAMPLE, enabled_stages, policies
from aftune.recipe import Recipe
from aftune.recipe.names import CONTROLS, control_note, kept_epoch, model_names
from aftune.reporting import ReportData
from aftune.reporting.run.result_tables import lead

_WHAT = {"finished": "finished, would be skipped", "resume": "would continue", "redo": "would run again", "new": "would run"}


def print_plan(
    recipe: Recipe, console: Console, machine_name: str | None = None, redo: Collection[str] = (), *, all_settings: bool = False
) -> None:
    """The settings, the state of each stage and an estimate of cost and memory, here or on another machine."""
    load = busy()  # before the estimate, which is work too
    machine = this_machine(recipe) if machine_name is None else parse_machine(machine_name)
    number = processes_on(recipe, machine)
    if machine_name is None and number == 1:
        runner.check(recipe)
    else:
        runner.check_recipe(recipe)
    if machine_name is None and number > 1 and (obstacle := launch_obstacle(recipe, number)):
        console.print(f"[yellow]{escape(obstacle)} (--for estimates a run on another machine)[/yellow]", soft_wrap=True)
    if machine_name is None:
        settled = settle(recipe, [RunDirectory(recipe.run_dir)])
        recipe = settled.recipe
        for line in settled.lines():
            console.print(line, soft_wrap=True)
    else:
        recipe = settle_elsewhere(recipe, has_bfloat16=machine.has_bfloat16)
    run = RunDirectory(recipe.run_dir)
    items = plan(recipe, run, redo=redo)
    print_obstacle(recipe, items, console)
    stages = cost.unfinished(items)
    costs = cost.estimate(recipe, stages)  # reads the data: what is wrong with that is said before anything else
    console.print("Settings" if all_settings else "Settings that are not the defaults (all of them: --settings)", style="italic")
    console.print(Syntax(recipe.to_yaml(defaults=all_settings).rstrip(), "yaml", background_color="default"))
    console.print()
    plans = Table(title="Stages", title_justify="left", box=None, pad_edge=False)
    for heading in ("stage", "what would happen", "why"):
        plans.add_column(heading)
    in_use = run.in_use()
    for item in items:
        runs_now = in_use and item.status == "resume"
        plans.add_row(
            item.stage.name, *(("is running", "another process is at work here") if runs_now else (_WHAT[item.status], item.reason))
        )
    console.print(plans)
    changes = claim.other_recipe(recipe, run, items)
    if changes is not None:
        console.print(
            f"[yellow]{escape(str(run.path))} holds the run of another recipe ({escape(changes)}): this run would be refused "
            "without --overwrite[/yellow]",
            soft_wrap=True,
        )
    console.print()
    if machine_name is None:
        measured = speed.measured_speed(recipe) if costs else None
        _print_costs(recipe, costs, lambda some: speed.duration(some, recipe, measured), machine, console, load)
        memory_views.print_memory(recipe, machine, console)
    else:
        found = kinds(recipe, machine)
        _print_costs(recipe, costs, next(one for one in found if one.own).duration, machine, console)
        memory_views.print_kinds(recipe, machine, found, stages, console)


def print_obstacle(recipe: Recipe, items: Sequence[Plan], console: Console) -> None:
    """What is wrong with candidates that are still to be imported."""
    if recipe.candidates is None or not any(item.stage.kind == SAMPLE.kind and item.status != "finished" for item in items):
        return
    try:
        check_source(recipe.candidates, recipe.data)
    except DataError as error:
        console.print(f"[yellow]{escape(str(error))}[/yellow]", soft_wrap=True)


def _print_costs(
    recipe: Recipe,
    costs: Sequence[cost.StageCost],
    duration: Callable[[Sequence[cost.StageCost]], speed.Duration | None],
    machine: Machine,
    console: Console,
    load: str = "",
) -> None:
    """Prints the cost of the stages that would run, of each and of all."""
    if not costs:
        console.print(f"Nothing would be computed: every stage is finished. {load}Nothing was run or written.", soft_wrap=True)
        return
    parameters = num_parameters(recipe)
    table = Table(title="Estimated cost of what would run", title_justify="left", box=None, pad_edge=False)
    table.add_column("stage")
    table.add_column("work")
    for heading in ("million tokens", "TFLOPs", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in costs:
        operations = "-" if parameters is None else f"{row.teraflops(parameters):,.1f}"
        taken = duration([row])
        table.add_row(row.stage, row.what, f"{row.num_tokens:,.2f}", operations, "-" if taken is None else format_duration(taken))
    console.print(table)
    total = duration(costs)
    if parameters is None:
        console.print(
            "The model is not on this machine and its name does not tell its size: operations and time are not known, nor whether "
            "the Hub has it."
        )
    else:
        name = machine.name
        time = (
            f"{format_duration(total)} on {name} ({total.why})" if total else f"of {name} only the memory is known, not the speed"
        )
        console.print(f"{parameters:,.0f} parameters; {time}. {load}Nothing was run or written.", soft_wrap=True)
    others = [f"{engine.kind} ({section})" for section, engine in engines(recipe).items() if engine.kind != "transformers"]
    if others:
        text = f"The times are those of the engine transformers with this model; not known: {', '.join(others)}."
        console.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)


def print_results(recipe: Recipe, console: Console) -> None:
    """The models of a run side by side, and how the aligned one compares."""
    metrics = read_metrics(recipe.run_dir / "metrics.json")
    title = f"{metrics['task']}, seed {metrics['seed']}"
    title = title if recipe.name is None else f"{escape(recipe.name)}: {title}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model")  # wraps where 80 columns are not enough for everything
    for heading in ("accuracy", "assessment accuracy", "mean score\nright / wrong"):
        table.add_column(heading, justify="right", no_wrap=True)
    names = {name.key: name.label for name in model_names(metrics["results"], recipe)}
    for name, result in metrics["results"].items():
        table.add_row(
            names[name],
            _share(result["accuracy"], result["accuracy_ci95"]),
            _share(result["assessment_accuracy"], result["assessment_accuracy_ci95"]),
            f"{_score(result['score_right'])} / {_score(result['score_wrong'])}",
        )
    console.print()
    console.print(table)
    _print_by_task(metrics["results"], names, console)
    first = next(iter(metrics["results"].values()))
    note = f";\n{control_note(recipe)}" if CONTROLS[recipe.control.match].key in names else ""
    console.print(
        f"accuracy: greedy, on {counted(first['num_problems'], 'held-out problem')}; assessment accuracy: on right\n"
        f"and wrong candidates of {first['num_assessed_problems']:,} of them; scores: nats per token; 95 % intervals\n"
        f"in brackets. VFT: {kept_epoch(recipe)}{note}.",
        style="dim",
        soft_wrap=True,
    )
    for sentence in lead(ReportData(recipe, {}, metrics)):
        console.print(sentence.replace("\N{NO-BREAK SPACE}", " "), soft_wrap=True, style="bold")
    for name, comparison in metrics["comparisons"].items():
        other = names[name.removeprefix("aligned_vs_")]
        low, high = (100 * bound for bound in comparison["ci95"])
        difference = 100 * comparison["difference"]
        evidence = f"(95 % interval {low:+.1f} to {high:+.1f}, p = {comparison['p_value']:.2g})"
        console.print(f"{names['aligned']} - {other}: {difference:+.1f} points {evidence}", soft_wrap=True)
    _print_number_of_warnings(recipe, console)
    _print_next_steps(recipe, console)


def _print_next_steps(recipe: Recipe, console: Console) -> None:
    """Where the model is, how to ask it something, how to look at the groups, and where the page is."""
    run, names = recipe.run_dir, {name.key: name.label for name in model_names(policies(recipe), recipe)}
    model = run / policies(recipe)["aligned"] / "model"
    word = escape(shlex.quote(str(run)))
    console.print()
    for what, how in {
        "model": f"[bold]{escape(str(model))}[/bold] ({escape(names['aligned'])})",
        "try it": f'aftune try {word} -q "A question of your own"',
        "look": f"aftune show {word}",
        "page": f"[bold]{escape(str(run / 'report.html'))}[/bold]",
    }.items():
        console.print(f"{what:<7} {how}", soft_wrap=True)


def _print_number_of_warnings(recipe: Recipe, console: Console) -> None:
    """A reminder, since a long run has scrolled past them by now."""
    entries = RunDirectory(recipe.run_dir).manifest()["stages"]
    number = sum(len(entries.get(stage.name, {}).get("warnings", ())) for stage in enabled_stages(recipe))
    if number:
        console.print(f"[yellow]{counted(number, 'warning')}: see above, or the page[/yellow]", soft_wrap=True)


def _print_by_task(results: Mapping[str, Any], names: Mapping[str, str], console: Console) -> None:
    """The same by task, where there are several."""
    sizes = next(iter(results.values())).get("num_problems_by_task", {})
    if not sizes:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("task", "model"):
        table.add_column(heading, no_wrap=True)
    for heading in ("accuracy", "assessment accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for task, size in sizes.items():
        for place, (name, result) in enumerate(results.items()):
            shares = [
                _share(result[f"{metric}_by_task"][task], result[f"{metric}_ci95_by_task"][task])
                for metric in ("accuracy", "assessment_accuracy")
            ]
            table.add_row("" if place else f"{task} ({size:,})", names[name], *shares)
        table.add_section()
    console.print(table)


def _share(value: float | None, bounds: Any) -> str:
    return "-" if value is None else f"{100 * value:.1f} % ({100 * bounds[0]:.1f}-{100 * bounds[1]:.1f})"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
