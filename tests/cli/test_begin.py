"""`aftune init`, `aftune recipes`, and the help of every command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from aftune.cli.main import app
from aftune.pipeline.estimate.tracing import PassMemory
from aftune.recipe import load_recipe

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def aftune(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answers)


def write_own(bad: int = 0) -> None:
    rows = [json.dumps({"q": f"What is {n} + 1?", "gold": n + 1, "note": "x", "how": f"{n} + 1 = {n + 1}"}) for n in range(20)]
    Path("own.jsonl").write_text("\n".join([*rows, *["{"[: n + 1] + f'"q": {n}' for n in range(bad)]]) + "\n")


def test_from_flags_alone() -> None:
    write_own()
    result = aftune("init", "own.jsonl", "--rationale", "how")
    assert result.exit_code == 0, result.output
    assert "own.jsonl as aftune reads it" in result.stdout
    assert "What is 2 + 1?" in result.stdout
    assert "not used: note" in result.stdout
    assert "20 questions, 12 of them to train on, 4 to measure on" in result.stdout
    assert "4 questions to measure on can show only differences of about 49 points" in result.stdout  # 98 / sqrt(4)
    for command in ("aftune validate own.yaml", "aftune run own.yaml --dry-run", "aftune run own.yaml "):
        assert command in result.stdout
    options = load_recipe(Path("own.yaml")).task.options
    assert options == {"question": "q", "answer": "gold", "rationale": "how", "answer_kind": "number", "shuffle": True}


def test_a_file_may_be_the_first_argument() -> None:
    write_own()
    result = aftune("init", "own.jsonl", "--rationale", "how")
    assert result.exit_code == 0, result.output
    assert load_recipe(Path("own.yaml")).data == Path("own.jsonl")
    result = aftune("init", "own.jsnol")
    assert result.exit_code == 1
    assert result.stderr.strip() == "aftune: error: own.jsnol: no such file; did you mean 'own.jsonl'?"


def test_it_asks_where_no_file_is_given() -> None:
    """The file that is there is proposed; a guess that is denied is asked for, column by column; then the model."""
    write_own()
    result = aftune("init", answers="\nn\n\n\nhow\ntext\ny\nsomebody/large-7B\n")
    assert result.exit_code == 0, result.output
    assert "File of questions (JSON Lines, JSON, CSV or TSV) [own.jsonl]:" in result.stdout
    assert "Columns of the file: q, gold, note, how" in result.stdout
    assert "Column of the right answers [gold]:" in result.stdout
    recipe = load_recipe(Path("own.yaml"))
    options = recipe.task.options
    assert (recipe.model.name, options["answer_kind"], options["rationale"]) == ("somebody/large-7B", "text", "how")


def test_answers_that_end_leave_nothing() -> None:
    write_own()
    result = aftune("init", answers="own.jsonl\n")
    assert result.exit_code == 1
    assert "Aborted" in result.stderr
    assert not Path("own.yaml").exists()


def test_bad_rows_are_shown() -> None:
    """Ten of twelve are shown, the file lists all."""
    write_own(bad=12)
    result = aftune("init", "own.jsonl")
    assert result.exit_code == 0, result.output
    assert "12 rows cannot be read, listed in own-bad-lines.txt:" in result.stdout
    assert result.stdout.count("not valid JSON") == 10
    assert "and 2 more rows" in result.stdout
    assert "Correct these rows first: a run stops at them. Then" in result.stdout
    assert len(Path("own-bad-lines.txt").read_text().splitlines()) == 12


def test_it_overwrites_only_if_asked() -> None:
    write_own()
    assert aftune("init", "own.jsonl").exit_code == 0
    again = aftune("init", "own.jsonl")
    assert (again.exit_code, again.stderr) == (
        2,
        "aftune: error: own.yaml: is there already; give --force to overwrite it, or another folder\n",
    )
    assert aftune("init", "own.jsonl", "--force").exit_code == 0


def test_a_run_of_another_model_keeps_its_folder() -> None:
    """The toy first, to see everything work, then a real model: the same recipe is overwritten, the run is not."""
    write_own()
    first = aftune("init", "own.jsonl")
    assert "The bundled model is a toy." in first.stdout
    assert "its run goes to runs/own\n" in first.stdout
    Path("runs/own").mkdir(parents=True)
    Path("runs/own/recipe.yaml").write_text("model:\n  name: bundled\n")
    assert "its run goes to runs/own\n" in aftune("init", "own.jsonl", "--force").stdout
    real = aftune("init", "own.jsonl", "--force", "--model", "some/Real-0.5B model")
    assert real.exit_code == 0, real.output
    assert "its run goes to runs/own-Real-0.5B-model\n" in real.stdout
    assert "is a toy" not in real.stdout
    assert "\nrun_dir: runs/own-Real-0.5B-model #" in Path("own.yaml").read_text()


def test_columns_that_were_swapped_are_asked_about() -> None:
    rows = [{"question": f"What is {n} + {n}?", "rationale": f"{n} + {n} = {2 * n}", "answer": 2 * n + 1} for n in range(1, 13)]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "These are more than half of them: are the columns right" in aftune("init", "own.jsonl").stdout
    rows = [row | {"answer": row["answer"] - (n > 3)} for n, row in enumerate(rows)]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = aftune("init", "own.jsonl", "--force")
    assert "4 rationales against the answer" in few.stdout
    assert "more than half" not in few.stdout
    assert "so ends a response that a model learns from (add nothing to your file): #### 10" in few.stdout


def test_the_recipe_passes_validation_and_a_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the count of what a pass holds, which takes seconds and has its own tests, and with little work to try the model."""
    monkeypatch.setattr("aftune.pipeline.estimate.speed._TRIAL_SECONDS", 0.01)
    monkeypatch.setattr("aftune.pipeline.estimate.memory.pass_memory", lambda *args, **options: PassMemory(2**30, 2**30, 2**30))
    write_own()
    assert aftune("init", "own.jsonl").exit_code == 0
    assert "No findings: all 20 problems can be used." in aftune("validate", "own.yaml").stdout
    result = aftune("run", "own.yaml", "model.precision=float32", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "12 references x 40 epochs" in result.stdout


def test_recipes_are_listed_and_found_by_name() -> None:
    result = aftune("recipes")
    assert "quickstart  All stages on the bundled model" in result.stdout
    assert "model Qwen/Qwen2.5-1.5B-Instruct; needs extras hub and peft;" in result.stdout
    small = ["model.precision=float32", "task.train=train[:4]", "task.validation=validation[:2]", "task.test=test[:3]"]
    assert "train 4, validation 2, test 3" in aftune("prepare", "quickstart", *small).stdout
    assert "aft-bc" in aftune("compare", "compare-small", "--methods", "help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    """A command line of this command, on one line at 80 columns too."""
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "80"})
    assert f"Example: aftune {name}" in result.stdout
    example = typer.main.get_command(app).commands[name].epilog  # type: ignore[attr-defined]
    assert example in [line.strip() for line in result.stdout.splitlines()]


def test_every_command_stands_in_a_group() -> None:
    """The help has no group of those left over, which would be called Commands."""
    result = aftune("--help")
    for group in ("Begin", "Run", "Use what a run left", "One stage of a run"):
        assert f"─ {group}" in result.stdout
    assert "─ Commands" not in result.stdout


def test_shell_completion() -> None:
    """What bash asks for after `aftune com`."""
    asked = {"_AFTUNE_COMPLETE": "complete_bash", "COMP_WORDS": "aftune com", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['aftune']; from aftune.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **asked}, check=False)
    assert done.stdout.split() == ["compare"]
