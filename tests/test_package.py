"""The package itself: light to import, and its public names."""

import subprocess
import sys

import pytest

import aftune


def test_import_is_light() -> None:
    """Neither the package, its records, recipes, tasks and `load_problems` bring torch in, nor what `aftune tasks` prints."""
    code = (
        "import sys, aftune, aftune.api.problems, aftune.records, aftune.recipe, aftune.tasks, aftune.answers, aftune.errors;"
        "import aftune.cli.task_list, rich.console; aftune.cli.task_list.print_tasks(rich.console.Console(quiet=True));"
        "print([name for name in ('torch', 'transformers', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_public_names() -> None:
    from aftune.records import Group
    from aftune.training import AlignmentTrainer

    assert aftune.AlignmentTrainer is AlignmentTrainer
    assert aftune.Group is Group
    assert all(hasattr(aftune, name) for name in aftune.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Grp'"):
        aftune.Grp  # noqa: B018
