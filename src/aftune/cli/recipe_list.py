"""What `aftune recipes` prints. It imports no torch: the list shows at once."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from aftune.recipe import Shipped


def print_recipes(recipes: Iterable[Shipped], console: Console) -> None:
    """What each is and needs, those of `aftune compare` after those of `aftune run`."""
    known = sorted(recipes, key=lambda recipe: recipe.needs != "nothing")  # those first that run anywhere
    for command in ("run", "compare"):
        console.print(f"[bold]aftune {command} NAME[/bold]")
        for recipe in (one for one in known if one.command == command):
            console.print(Padding(f"[bold cyan]{escape(recipe.name)}[/bold cyan]  {escape(recipe.what)}", (0, 0, 0, 2)))
            facts = f"model {recipe.model}; needs {recipe.needs}; time: {recipe.time}"
            console.print(Padding(f"[dim]{escape(facts)}[/dim]", (0, 0, 0, 6)))
        console.print()
    console.print("Settings follow the name: seed=1 run_dir=runs/other. `aftune init` writes a recipe for your own questions.")
