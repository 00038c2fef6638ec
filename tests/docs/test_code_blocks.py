"""The code of the README and of docs/: what can be run here in seconds is run, the rest is parsed by what would run it."""

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

import code_blocks
from aftune.cli.main import app
from aftune.cli.run_commands import STAGES
from aftune.models.loading import resolve
from aftune.pipeline.compare import methods
from aftune.recipe import find_recipe, load_recipe, recipe_from
from code_blocks import ROOT, Block

if TYPE_CHECKING:
    from tutorials import Tutorial

BLOCKS = code_blocks.blocks()
SPOKEN = code_blocks.spoken_commands()  # in sentences: often only the name of a command
COMMANDS = [
    (block, command)
    for block in (*BLOCKS, *SPOKEN)
    for command in block.commands()
    if not command.endswith("[OPTIONS]")  # usage, which is made from the parser
]
GROUP: Any = typer.main.get_command(app)

# Blocks that are neither commands nor a program, by how they begin.
TEXT = {
    "problems ──sft──▶": "a drawing",
    "mean score": "what the quickstart prints",
    "way   ": "what benchmarks/answers.py prints",
    "loss = log(": "a formula",
}

# Commands of aftune that are only parsed, with why; all others are run where the tutorial was.
PARSED = {
    "quickstart": "takes minutes; a tutorial is the same with fewer problems",
    "run": "the tutorials are runs; other recipes take minutes, the Hub or GPUs",
    "compare": "a tutorial makes a small one; others take minutes",
    "benchmark": "needs data sets, models of the Hub or a server",
    "push": "needs the Hub",
    **dict.fromkeys(STAGES, "a stage of a run"),
}
SESSION = ROOT / "docs" / "python.md"
# Words in commands that stand for something of the reader's; what a recipe of theirs would be is the quickstart here.
STAND_INS = ("RECIPE", "RECIPE.yaml", "own.yaml", "COMMAND")
# Others that are only parsed, by a part of theirs, with why.
NOT_HERE = {
    r"Qwen/": "a model of the Hub",
    r"FOLDER": "data of the reader's",
    r"export votes": "a file of the reader's",
    r"--to dataset": "needs the extra hub",
    r"--to adapter": "the small run has none",
    r"--to gguf": "llama.cpp's converter is no package",
    r"aftune validate": "the tutorial validates a file; the others are the reader's",
    r"aftune init(?! own)": "asks at the keyboard",
    r"aftune init.* --question": "names columns of the reader's",
}


def words_of(command: str) -> list[str]:
    """The words of a command line, without its comment and variables before it, from `aftune` on where a launcher starts it."""
    words = shlex.split(command, comments=True)
    while "=" in words[0]:
        words.pop(0)
    if "-m" in words and words[words.index("-m") + 1] == "aftune":
        return words[words.index("-m") + 1 :]
    return words[words.index("aftune") :] if words[0] == "srun" else words


def parsed(words: list[str]) -> dict[str, Any]:
    """The arguments of a command of aftune, by its own parser; raises for options that it does not have."""
    command = GROUP.commands[words[1]]
    with command.make_context(words[1], list(words[2:])) as context:
        return dict(context.params)


def check_aftune(words: list[str]) -> None:
    if len(words) < 2 or words[1].startswith("-") or words[1] == "COMMAND":
        return  # `aftune --help` and the like
    if words[-1] in ("-h", "--help"):
        assert words[1] in GROUP.commands
        return
    given = parsed([word for word in words if word not in ("...", "KEY=VALUE...")])
    recipe = str(given.get("recipe", ""))
    overrides = [text for text in given.get("overrides") or () if text not in ("KEY=VALUE", "model.weights=W")]
    if recipe in STAND_INS or words[1] == "quickstart":
        recipe = "quickstart"
    if words[1] in ("benchmark", "validate", "try"):  # what they take is a task's name, a model or a run, then settings
        taken = given.get("overrides") or given.get("settings") or []
        recipe_from({"run_dir": "runs/x"}, [text for text in taken if text != "KEY=VALUE"], " ".join(words))
    elif recipe:
        path = find_recipe(Path(recipe))
        assert path.is_file() or (ROOT / recipe).is_file(), f"no recipe {recipe}"
        load_recipe(path if path.is_file() else ROOT / recipe, overrides)
    for name in filter(None, (given.get("methods") or "").split(",")):
        assert name == "help" or methods.parse(name)


def check_python(words: list[str]) -> None:
    """A script of the repository with options that it knows."""
    script = ROOT / words[1]
    text = script.read_text(encoding="utf-8")
    for option in words[2:]:
        assert not option.startswith("--") or f'"{option.partition("=")[0]}"' in text, f"{words[1]} has no {option}"
        assert not re.fullmatch(r"(recipes|benchmarks)/\S+", option) or (ROOT / option).is_file(), option


def check_pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = ",".join(re.findall(r"(?:aftune|\.)\[(.*?)\]", " ".join(words)))
    assert set(filter(None, named.split(","))) <= set(extras)


def check_make(words: list[str]) -> None:
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def check_paths(words: list[str]) -> None:
    assert all((ROOT / word).exists() for word in words[1:] if "/" in word)


def not_ours(words: list[str]) -> None:
    """A program of others; nothing here would run it."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "aftune": check_aftune,
    "python": check_python,
    "pip": check_pip,
    "make": check_make,
    "pytest": check_paths,
    "cd": check_paths,
    **dict.fromkeys(("lm_eval", "tensorboard", "sbatch", "ruff", "hf", "docker", "."), not_ours),
}


def test_every_block_is_of_a_known_kind() -> None:
    """What is neither commands nor a program is listed above: no block goes unlooked at because nobody knew what it was."""
    unknown = [block.place for block in BLOCKS if block.kind == "text" and not block.code.strip().startswith(tuple(TEXT))]
    assert unknown == []
    assert len(BLOCKS) > 100
    assert len(COMMANDS) > 200


def test_every_command_line_is_one() -> None:
    """Options, arguments, recipes, settings and methods exist; so do scripts and their options, extras and make's targets."""
    wrong = []
    for block, command in COMMANDS:
        try:
            words = words_of(command)
            CHECKS[words[0]](words)
        except Exception as error:
            if block not in SPOKEN or type(error).__name__ != "MissingParameter":
                wrong.append(f"{block.place}: {command}: {error!r}")
    assert not wrong, "\n".join(wrong)


def test_yaml_is_a_recipe() -> None:
    """Fragments get the keys that a recipe needs."""
    wrong = []
    for block in BLOCKS:
        if block.kind == "yaml":
            try:
                recipe_from({"run_dir": "runs/x"} | yaml.safe_load(block.code), [], block.place)
            except Exception as error:
                wrong.append(f"{block.place}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.xdist_group("tutorial")
def test_commands_that_look_at_a_run(end_to_end: "Tutorial", monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each of them is run as it stands, with the run of a tutorial for RUN and one of its problems for PROBLEM."""
    monkeypatch.chdir(end_to_end.folder)
    (end_to_end.folder / "own.jsonl").write_text(OWN, encoding="utf-8")
    (end_to_end.folder / "own.csv").write_text(OWN_CSV, encoding="utf-8")
    swapped = {"RUN": "runs/tiny", "runs/quickstart": "runs/tiny", "runs/own": "runs/tiny", "PROBLEM": "arithmetic/test/3"}
    done: dict[str, int] = {}
    for number, command in enumerate(dict.fromkeys(command for block, command in COMMANDS if block not in SPOKEN)):
        words = [swapped.get(word, word) for word in words_of(command)]
        if words[0] != "aftune" or words[1] not in GROUP.commands or words[1] in PARSED or words[-1] == "--help":
            continue
        if any(re.search(part, command) for part in NOT_HERE):
            continue
        if "--out" in words:
            words[words.index("--out") + 1] = str(tmp_path / f"{number}.jsonl")
        if words[1] == "try" and "-q" not in words:
            words += ["-q", "What is 2 + 3?"]  # without it the command asks at the keyboard
        if words[1] == "init":
            words.append("--force")
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"
        done[words[1]] = done.get(words[1], 0) + 1
    assert set(done) == {"status", "runs", "show", "try", "verify", "export", "recipes", "tasks", "init"}, done


ROW = '{{"question": "What is {0} + 2?", "answer": {1}, "target": {1}, "solution": "{0} + 2 = {1}"}}\n'
OWN_CSV = "question,answer,solution\n" + "".join(
    f"{number} + 2?,{number + 2},{number} + 2 = {number + 2}\n" for number in range(20)
)
OWN = "".join(ROW.format(number, number + 2) for number in range(20))


def python_programs() -> list[Block]:
    """Each program once: pages may show the same one. Those of docs/python.md go on from each other: tests/api runs them."""
    programs = (block for block in BLOCKS if block.kind == "python" and block.page != SESSION)
    return list({block.code: block for block in programs}.values())


OF_A_RUN = [block for block in python_programs() if "runs/quickstart" in block.code]


@pytest.mark.xdist_group("tutorial")
@pytest.mark.parametrize("block", OF_A_RUN, ids=lambda block: block.place)
def test_python_that_uses_a_run(block: Block, end_to_end: "Tutorial", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(end_to_end.folder)
    exec(compile(block.code.replace("runs/quickstart", "runs/tiny"), block.place, "exec"), {})


@pytest.mark.parametrize("block", [block for block in python_programs() if block not in OF_A_RUN], ids=lambda block: block.place)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, in an empty folder, with the bundled model for the one on the Hub; weights that an example saves have moved."""
    monkeypatch.chdir(tmp_path)
    name = re.search(r'name = "([^"]+)"', block.code)
    program = block.code.replace(name[1], resolve("bundled")) if name else block.code
    exec(compile(PRELUDES.get(program.splitlines()[0], "") + program, block.place, "exec"), {})
    if "save_model" in program:
        assert share_moved(tmp_path / "aligned") > 0.75  # 0.17 where updates are rounded away


def share_moved(folder: Path) -> float:
    """The share of the weights that are not those of the bundled model."""
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(resolve("bundled"), dtype="float32").state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").state_dict()
    moved = sum(int((tensor != before[key]).sum()) for key, tensor in after.items())
    return moved / sum(tensor.numel() for tensor in after.values())


# What a program needs that its page does not say again, by its first line: here a model, and a task with options.
PRELUDES = {
    "from aftune.evaluation.letters import letter_accuracy": """
import json
from pathlib import Path
from aftune.models.loading import load_model, load_tokenizer, resolve
from aftune.recipe import ModelSection
from aftune.tasks import build
row = {"question": "1 + 1?", "options": ["A)1", "B)2", "C)3", "D)4", "E)5"], "rationale": "1 + 1 = 2. Answer: B", "correct": "B"}
Path("test.json").write_text(json.dumps(row), encoding="utf-8")
task = build("aqua", Path())
model, tokenizer = load_model(resolve("bundled"), ModelSection(), float32=True), load_tokenizer(resolve("bundled"))
""",
}
