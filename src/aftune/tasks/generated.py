"""What tasks whose problems are made from a seed have in common: no data, and splits of the same sizes."""

from pathlib import Path

from aftune.tasks.base import Sources, Task
from aftune.tasks.task_options import TaskOptions

SPLIT_SIZES = {"train": 100_000, "validation": 5_000, "test": 5_000}


class GeneratedTask(Task):
    """`seed` chooses the problems; a folder of data is not used."""

    split_names = tuple(SPLIT_SIZES)
    published_sizes = SPLIT_SIZES
    source = "generated"
    generated = True

    def __init__(self, data: Path | None = None, seed: int = 0) -> None:
        self.seed = seed

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        return Sources()

    def split_size(self, split: str) -> int:
        return SPLIT_SIZES[split]
