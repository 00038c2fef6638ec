"""What a dry run says about memory: of this machine, or of another one with every kind of training."""

from collections.abc import Container, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune.cli.durations import format_duration
from aftune.common.errors import UsageError
from aftune.common.wording import counted
from aftune.pipeline.estimate.kinds import Kind
from aftune.pipeline.estimate.machines import Machine, processes_on
from aftune.pipeline.estimate.memory import PARTS, Moment, RunMemory
from aftune.pipeline.estimate.remedies import first_remedy, fits, memory_on, smallest_card
from aftune.recipe import Recipe

_NOT_COUNTED = (
    "?: what a pass holds cannot be counted for this model, since numbers decide what it computes; it is left out of the sums."
)
_HOLES = (
    "These are tensors. A process on a CPU takes more, with LoRA up to half as much again: memory between them that stays unused."
)
_STAND_IN = "The model's configuration is not on this machine: a Llama of its size is counted."


def print_memory(recipe: Recipe, machine: Machine, console: Console) -> None:
    """The memory of training and the fullest moment, and what to do if this machine does not hold it."""
    try:
        memory = memory_on(recipe, machine)
    except UsageError as error:
        console.print(f"[yellow]memory is not known: {escape(str(error))}[/yellow]", soft_wrap=True)
        return
    if memory is None:
        return
    console.print(_rows(recipe, memory), soft_wrap=True)
    console.print(f"memory of tensors about {_gib(memory.peak)} ({'; '.join(map(_moment, _told(memory)))}).", soft_wrap=True)
    if not machine.gpu:
        console.print(_HOLES, soft_wrap=True)
    _print_notes(memory, console)
    if not fits(memory, recipe, machine):
        _print_remedy(recipe, machine, memory, console)


def print_kinds(recipe: Recipe, machine: Machine, found: Sequence[Kind], stages: Container[str], console: Console) -> None:
    """A table of memory, and of time for the stages that would run, with each kind of training; and what would fit if the recipe
    does not."""
    number = processes_on(recipe, machine)
    sharing = "" if number == 1 else f", of each of {counted(number, 'card')} (sharding: {recipe.launch.sharding})"
    table = Table(title=f"Memory on {machine.name}{sharing}, GiB", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for kind in found:
        table.add_column(f"{kind.title}{' (recipe)' if kind.own else ''}", justify="right")
    for heading, name, parts in (
        ("training", "training", PARTS[:5]),
        ("sampling", "sampling", PARTS[:1] + PARTS[3:]),
        ("validation of sft", "validation", ()),
        ("sampling in evaluate", "evaluation", ()),
        ("scores in evaluate", "scores", ()),
    ):
        moments = [None if kind.memory is None else kind.memory.moment(name) for kind in found]
        if any(moments):
            table.add_row(
                f"[bold]{heading}[/bold]", *("-" if one is None else f"[bold]{_number(one.total)}[/bold]" for one in moments)
            )
            for part in parts:
                table.add_row(f"  {part}", *(_part(one, part) for one in moments))
    usable = machine.usable(number) / 2**30
    table.add_row(f"fits into {usable:,.1f} GiB", *("-" if one.memory is None else "yes" if one.fits else "no" for one in found))
    times = [kind.duration(kind.costs(stages)) for kind in found]
    if any(times):
        table.add_row("time, rough", *("-" if one is None else format_duration(one) for one in times))
    console.print()
    console.print(table)
    for reason in sorted({kind.why for kind in found if kind.why}):
        console.print(escape(reason), soft_wrap=True)
    own = next(kind for kind in found if kind.own)
    if own.memory is None:
        return
    console.print(_rows(recipe, own.memory), soft_wrap=True)
    _print_notes(own.memory, console)
    if not own.fits:
        _print_remedy(recipe, machine, own.memory, console)


def _print_notes(memory: RunMemory, console: Console) -> None:
    if memory.stand_in:
        console.print(_STAND_IN, soft_wrap=True)
    if any(size is None for moment in memory.moments for size in moment.parts.values()):
        console.print(_NOT_COUNTED, soft_wrap=True)


def _print_remedy(recipe: Recipe, machine: Machine, memory: RunMemory, console: Console) -> None:
    usable = machine.usable(processes_on(recipe, machine))
    told = ", ".join(f"{_what(moment)} {_gib(moment.total)}" for moment in memory.moments if moment.total > usable)
    console.print(f"[yellow]It does not fit on {machine.name}, where {_gib(usable)} can be used: {told}.[/yellow]", soft_wrap=True)
    card = smallest_card(memory, recipe)
    if card is None:
        console.print("No single card that aftune knows holds it.", soft_wrap=True)
    else:
        console.print(f"The smallest card that holds it is {card}.", soft_wrap=True)
    remedy = first_remedy(recipe, machine)
    if remedy is None:
        console.print("None of the remedies that were tried fits: smaller passes, adapters, more cards.", soft_wrap=True)
        return
    where = "" if remedy.machine.name == machine.name else f" on {remedy.machine.name}"
    text = f"[bold]{escape(str(remedy))}[/bold]{where}, with {_gib(remedy.memory.peak)} at most"
    console.print(f"What would fit: {text}.", soft_wrap=True)


def _rows(recipe: Recipe, memory: RunMemory) -> str:
    row = next(row for row in memory.rows if row.stage == "align")
    budget = recipe.align.token_budget
    if row.num_parts == 1:
        how = f"computed {counted(row.at_once, 'problem')} at a time (align.token_budget {budget:,})"
    else:
        how = f"more than token_budget {budget:,}: each in {row.num_parts} parts, computed twice, one at a time in memory"
    return f"align: a problem with its candidates has about {row.group:,} tokens, {how}"


def _told(memory: RunMemory) -> list[Moment]:
    """Training, and the fullest moment."""
    fullest = max(memory.moments, key=lambda moment: moment.total)
    return [moment for moment in memory.moments if moment.name == "training" or moment is fullest]


def _moment(moment: Moment) -> str:
    parts = ", ".join(
        f"{name} {'?' if size is None else _number(size)}" for name in PARTS if (size := moment.parts.get(name, 0.0)) != 0
    )
    return f"{_what(moment)} {_number(moment.total)}: {parts}"


def _what(moment: Moment) -> str:
    return {"validation": "validation of sft", "evaluation": "sampling in evaluate", "scores": "scores in evaluate"}.get(
        moment.name, moment.name
    )


def _part(moment: Moment | None, part: str) -> str:
    if moment is None or part not in moment.parts:
        return "-"
    size = moment.parts[part]
    return "?" if size is None else _number(size)


def _number(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:,.2f}"


def _gib(num_bytes: float) -> str:
    return f"{_number(num_bytes)} GiB"
