"""What `aftune tasks` prints. It imports no torch: the list shows at once."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune import tasks


def print_tasks(console: Console) -> None:
    """A line for each task, and where its data comes from."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("task", "version", "answers", "splits as published"):
        table.add_column(heading)
    for name, task in tasks.TASKS.items():
        kind = "your choice" if name == "jsonl" else task.answer_kind.name
        sizes = (f"{split} {task.published_sizes[split]:,}" if task.published_sizes else split for split in task.split_names)
        table.add_row(name, str(task.version), kind, ", ".join(sizes))
    console.print(table)
    for name, task in tasks.TASKS.items():
        console.print(f"[bold]{name}[/bold]: {escape(task.source)}", soft_wrap=True)
