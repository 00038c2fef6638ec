"""Recipes: what is accepted, and what an error says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aftune.common.errors import UsageError
from aftune.pipeline.compare import methods
from aftune.pipeline.directory.changes import what_matters
from aftune.recipe import Recipe, load_recipe, with_settings

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml"))


@pytest.fixture
def load(tmp_path: Path):
    """Loads a recipe from text."""

    def run(text: str, *overrides: str) -> Recipe:
        path = tmp_path / "r.yaml"
        path.write_text(text)
        return load_recipe(path, overrides)

    return run


@pytest.fixture
def complaint(load: Callable[..., Any]):
    """The one-line message of the UsageError that a recipe gives, without the folder."""

    def run(text: str, *overrides: str) -> str:
        with pytest.raises(UsageError) as caught:
            load(text, *overrides)
        message = str(caught.value)
        assert "\n" not in message
        return message[message.find("r.yaml") :] if "r.yaml" in message else message

    return run


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_ready_recipes_load(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.run_dir == Path("runs") / path.stem
    assert load_recipe(path, ["seed=7", "align.beta=0.5"]).align.beta == 0.5


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_settings_in_the_commands_of_a_ready_recipe(path: Path) -> None:
    """The comment at its top has commands; what they set can be set, together."""
    head = path.read_text().partition("\nrun_dir:")[0]
    command = rf"aftune (?:run {path.stem}|compare {path.stem}|quickstart)|benchmarks/\w+\.py recipes/{path.name}"
    commands = re.findall(rf"^#   .*(?:{command})(.*)", head, re.MULTILINE)
    assert commands
    for command in commands:
        load_recipe(path, re.findall(r"(?<= )[a-z_.]+=\S+", command))


def test_there_are_ready_recipes() -> None:
    assert "quickstart" in [path.stem for path in RECIPES]


def test_values_and_defaults(load: Callable[..., Any]) -> None:
    recipe = load("run_dir: x\nsft: {learning_rate: 1.0e-4, num_epochs: 2}\nalign: {constraint: none}\n")
    assert recipe.run_dir == Path("x")
    assert recipe.sft.learning_rate == 1e-4
    assert recipe.sft.num_epochs == 2.0
    assert recipe.align.constraint == "none"
    assert (recipe.align.beta, recipe.seed, recipe.data, recipe.candidates) == ("auto", 0, None, None)


def test_resolved_recipe_loads_again(load: Callable[..., Any]) -> None:
    recipe = load(
        "run_dir: a/b\ndata: d\nseed: 3\ncandidates: {format: gsm8k_solutions, path: f.jsonl}\nsft: {patience: 2}\n",
        "align.beta=0.25",
    )
    assert load(recipe.to_yaml()) == recipe


@pytest.mark.parametrize(("kind", "merge"), [("none", True), ("lora", True), ("dora", True), ("qlora", False)])
def test_an_adapter_is_merged_unless_that_rounds(load: Callable[..., Any], kind: str, merge: bool) -> None:
    assert load(f"run_dir: x\nadapter: {{kind: {kind}}}\n").adapter.merge is merge
    assert load("run_dir: x\nadapter: {kind: lora}\n", f"adapter.kind={kind}").adapter.merge is merge
    assert load(f"run_dir: x\nadapter: {{kind: {kind}, merge: false}}\n").adapter.merge is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aling: {beta: 1.0}", "r.yaml: unknown key 'aling'; did you mean 'align'? allowed here: adapter, align, candidates,"),
        (
            "align: {betta: 1.0}",
            "r.yaml: unknown key 'align.betta'; did you mean 'beta'? allowed here: alignment_weight, auto_beta_push,",
        ),
        ("sft: {beta: 1.0}", "r.yaml: unknown key 'sft.beta'; did you mean"),
        (
            "task: {xqzw: 1}",
            "r.yaml: unknown key 'task.xqzw'; allowed here: name, options, parts, skip_too_long, test, train, validation",
        ),
        (
            "candidates: {format: gsm8k_solutions, path: f, kind: 1}",
            "r.yaml: unknown key 'candidates.kind'; allowed here: columns, format, path",
        ),
        ("candidates: {path: f}", "r.yaml: key 'candidates.format' is missing"),
    ],
)
def test_unknown_keys(complaint: Callable[..., str], text: str, message: str) -> None:
    said = complaint(f"run_dir: x\n{text}\n")
    if message.endswith("did you mean"):
        message = message.removesuffix(" did you mean")
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("align: {constraint: fence}", "align.constraint is 'fence': input should be 'none', 'detached' or 'boundary'"),
        ("align: {beta: 0}", "align.beta is 0: input should be greater than 0"),
        ("sample: {top_p: 1.5}", "sample.top_p is 1.5: input should be less than or equal to 1"),
        ("sample: {num_candidates: 2.5}", "sample.num_candidates is 2.5: "),
        ("sample: {num_candidates: '8'}", "sample.num_candidates is '8': input should be a valid integer"),
        ("evaluate: {num_candidates: 1}", "evaluate.num_candidates is 1: input should be greater than or equal to 2"),
        ("control: {enabled: 'no'}", "control.enabled is 'no': input should be a valid boolean"),
        ("sft: {learning_rate: .nan}", "sft.learning_rate is nan: "),
        ("sft: {learning_rate: true}", "sft.learning_rate is True: input should be a valid number"),
        ("sft: 3", "sft is 3: "),
        ("align: {loss: ipo}", "align.constraint: ipo takes no boundary; set none or detached"),
        ("align: {loss: bdpo, constraint: none, bdpo_lambda: 1.0}", "align.bdpo_lambda is 1.0: input should be less than 1"),
        (
            "track: {report_to: [comet]}",
            "track.report_to.0 is 'comet': input should be 'tensorboard', 'trackio', 'wandb' or 'mlflow'",
        ),
        ("track: {report_to: wandb}", "track.report_to is 'wandb': input should be a valid list"),
        ("align: {validation_groups: -1}", "align.validation_groups is -1: input should be greater than or equal to 0"),
        ("seed: -1", "seed is -1: input should be greater than or equal to 0"),
        (
            "adapter: {kind: qlora, merge: true}",
            "adapter.merge: merging into the 4-bit weights of qlora would round them; leave it out or set false, "
            "and merge into the unquantised model afterwards with `aftune export RUN --to merged`",
        ),
        ("adapter: {kind: qlora}\nlaunch: {sharding: fsdp}", "launch.sharding: fsdp does not take the 4-bit weights of qlora"),
        ("model: {weights: bfloat16, precision: float32}", "model.weights: bfloat16 weights cannot be computed with in float32"),
        ("model: {weights: bfloat16}\nadapter: {kind: lora}", "model.weights: an adapter is small and is trained in float32"),
        ("model: {weights: bfloat16}\nlaunch: {sharding: zero2}", "model.weights: sharded weights are trained in float32"),
    ],
)
def test_wrong_values(complaint: Callable[..., str], text: str, message: str) -> None:
    assert complaint(f"run_dir: x\n{text}\n").startswith(f"r.yaml: {message}")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("1E-4", 1e-4), ("2e3", 2000.0), ("1.5e-5", 1.5e-5), (".5e1", 5.0), ("1.e+2", 100.0)]
)
def test_numbers_with_exponents(load: Callable[..., Any], text: str, value: float) -> None:
    """Python's YAML reads 1e-4 as a text; here it is a number, in files and on the command line."""
    recipe = load(f"run_dir: x\nsft: {{learning_rate: {text}}}\n", f"align.learning_rate={text}", f"align.beta={text}")
    assert (recipe.sft.learning_rate, recipe.align.learning_rate, recipe.align.beta) == (value, value, value)
    assert methods.parse(f"aft-bc:beta={text}").varied == {"align.beta": value}


def test_a_name_that_looks_like_a_number_stays_a_name(load: Callable[..., Any], complaint: Callable[..., str]) -> None:
    recipe = load('run_dir: x\nmodel: {name: "1e-4"}\n')
    assert load(recipe.to_yaml()).model.name == "1e-4"
    assert complaint("run_dir: x\nmodel: {name: 12e4}\n").endswith("input should be a valid string (put it in quotes)")


def test_a_key_that_stands_twice_is_named_by_line(complaint: Callable[..., str]) -> None:
    said = complaint("run_dir: x\nalign:\n  beta: 0.3\n  loss: aft\n  beta: 0.5\n")
    assert said == "r.yaml:5: not valid YAML (the key 'beta' appears twice, first in line 3); correct this line"
    assert complaint("run_dir: x\nseed: 1\nrun_dir: y\n").startswith("r.yaml:3: not valid YAML (the key 'run_dir' appears twice")
    assert complaint("run_dir: x\n", "align={beta: 0.1, beta: 0.2}").endswith("first in line 1); put it in quotes")


def test_keys_that_are_merged_in_may_be_replaced(load: Callable[..., Any]) -> None:
    recipe = load("run_dir: x\nsft: &s {num_epochs: 2, batch_size: 8}\nalign: {<<: *s, batch_size: 4}\n")
    assert (recipe.align.num_epochs, recipe.align.batch_size) == (2.0, 4)


def test_home_folders(load: Callable[..., Any], complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    recipe = load(
        "run_dir: ~/runs/a\ndata: ~/d\ncandidates: {format: json_lines, path: ~/c.jsonl}\n",
        "task={name: mixture, parts: [{name: gsm8k, data: ~/g}]}",
    )
    paths = (recipe.run_dir, recipe.data, recipe.candidates.path, recipe.task.parts[0].data)
    assert paths == tuple(Path("/home/ada") / name for name in ("runs/a", "d", "c.jsonl", "g"))
    assert complaint("run_dir: ~nobody-here/x\n").endswith("there is no home folder for ~nobody-here")


def test_recipes_from_other_systems(tmp_path: Path, complaint: Callable[..., str]) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfrun_dir: x\r\nseed: 3\r\n")
    assert load_recipe(path).seed == 3
    assert "r.yaml: not valid YAML (nested too deeply)" in complaint("run_dir: " + "[" * 5000)
    assert "r.yaml: not valid YAML (Exceeds the limit (4300 digits)" in complaint("run_dir: x\nseed: " + "9" * 5000)


def test_missing_run_dir(complaint: Callable[..., str]) -> None:
    assert complaint("seed: 1\n") == "r.yaml: key 'run_dir' is missing; add it"


def test_all_mistakes_are_named_at_once(complaint: Callable[..., str]) -> None:
    said = complaint("run_dir: x\nseed: -1\nalign: {betta: 1.0}\n")
    assert "seed is -1" in said
    assert "'align.betta'" in said


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("align.beta=-1", "override 'align.beta=-1': align.beta is -1: input should be greater than 0"),
        ("align.betta=1", "override 'align.betta=1': unknown key 'align.betta'; did you mean 'beta'?"),
        ("aling.beta=1", "override 'aling.beta=1': unknown key 'aling'; did you mean 'align'?"),
        ("align.beta", "'align.beta' is not an override; write section.key=value"),
        ("=3", "'=3' is not an override"),
        ("align..beta=3", "'align..beta=3' is not an override"),
        ("seed.x=3", "'seed.x=3': seed is a single value and has no keys below it"),
        (
            "align.beta=[1",
            "'align.beta=[1': the value is not valid YAML (expected ',' or ']', but got '<stream end>')",
        ),
    ],
)
def test_wrong_overrides(complaint: Callable[..., str], override: str, message: str) -> None:
    assert complaint("run_dir: x\nseed: 1\n", override).startswith(message)


def test_overrides_win_and_the_last_one_counts(load: Callable[..., Any]) -> None:
    recipe = load(
        "run_dir: x\nalign: {beta: 0.3, num_epochs: 2}\n", "align.beta=0.4", "align.beta=0.5", "sft.patience=null", "data=/d"
    )
    assert recipe.align.beta == 0.5
    assert recipe.align.num_epochs == 2.0
    assert recipe.sft.patience is None
    assert recipe.data == Path("/d")


def test_files_that_are_no_recipes(complaint: Callable[..., str], tmp_path: Path) -> None:
    assert complaint("run_dir: x\n\tseed: 1\n").startswith("r.yaml:2: not valid YAML")
    assert complaint("- a\n- b\n").startswith("r.yaml: expected keys and values, found list")
    assert complaint("").startswith("r.yaml: expected keys and values, found NoneType")
    with pytest.raises(UsageError, match=r"nowhere\.yaml: no such recipe file"):
        load_recipe(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"run_dir: caf\xe9\n")
    with pytest.raises(UsageError, match=r"latin\.yaml: cannot be read as a text file"):
        load_recipe(tmp_path / "latin.yaml")


def test_a_recipe_cannot_be_changed_in_place(load: Callable[..., Any]) -> None:
    recipe = load("run_dir: x\n")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3


def test_settings_by_name_make_another_recipe(load: Callable[..., Any]) -> None:
    recipe = load("run_dir: x\ndata: d\nalign: {beta: 0.3}\n")
    changed = with_settings(recipe, {"align.beta": "auto", "rounds": 2, "run_dir": "y", "sample.top_k": 5}, "here")
    assert (changed.align.beta, changed.rounds, changed.run_dir, changed.sample.top_k) == ("auto", 2, Path("y"), 5)
    assert (recipe.align.beta, recipe.rounds, recipe.run_dir, recipe.sample.top_k) == (0.3, 1, Path("x"), 0)
    assert with_settings(changed, {"align.beta": 0.3, "rounds": 1, "run_dir": "x", "sample.top_k": 0}, "here") == recipe
    assert with_settings(recipe, {}, "here") == recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"align.beta": 0}, "here: align.beta is 0: input should be greater than 0, or input should be 'auto'"),
        ({"align.beta": "aut"}, "here: align.beta is 'aut': input should be a valid number, or input should be 'auto'"),
        ({"align.bta": 1}, "here: unknown key 'align.bta'; did you mean 'beta'? allowed here: alignment_weight,"),
        (
            {"seed": -1, "rounds": 0},
            "here: seed is -1: input should be greater than or equal to 0; here: rounds is 0: ",
        ),
        ({"sample.num_candidates": True}, "here: sample.num_candidates is True: input should be a valid integer"),
        ({"candidates": 3}, "here: candidates is 3: "),
        ({"data": 3}, "here: data is 3: "),
        ({"candidates": {"format": "x", "path": "f"}}, "here: candidates.format is 'x': input should be 'gsm8k_solutions'"),
        ({"seed.x": 1}, "'seed.x': seed is a single value and has no keys below it"),
    ],
)
def test_settings_that_do_not_fit(load: Callable[..., Any], settings: dict[str, Any], message: str) -> None:
    """One sentence a key, without the names of types, also where a key may be of several."""
    with pytest.raises(UsageError) as caught:
        with_settings(load("run_dir: x\n"), settings, "here")
    assert str(caught.value).startswith(message)
    assert str(caught.value).count("here: ") == message.count("here: ")


@pytest.mark.parametrize("text", ['run_dir: "a\\0b"\n', 'run_dir: x\nmodel: {name: "\\0"}\n', '"\\0": 1\n'])
def test_zero_characters_are_refused(complaint: Callable[..., str], text: str) -> None:
    """No path holds one."""
    assert "not valid YAML (a zero character); correct this line" in complaint(text)


def test_surrogates_are_characters_in_pairs_only(complaint: Callable[..., str], tmp_path: Path) -> None:
    """As in JSON, which is YAML too."""
    said = complaint('run_dir: x\nprompt: {system: "\\ud83d"}\n')
    assert said == "r.yaml:2: not valid YAML (half of a surrogate pair, which is not a character); correct this line"
    path = tmp_path / "pair.yaml"
    path.write_text('run_dir: x\nprompt: {system: "\\ud83c\\udfb2"}\n')
    assert load_recipe(path).prompt.system == "🎲"


def test_long_values_are_cut_short(complaint: Callable[..., str]) -> None:
    override = "task.options=" + "a" * 5000
    for text, overrides in (
        ("run_dir: x\n" + "y" * 5000 + ": 1\n", []),
        ("run_dir: x\n", [override]),
        ("run_dir: x\n", [override + ": ["]),
        ("run_dir: x\n", ["z" * 5000]),
        ("run_dir: x\n" + ("y" * 5000 + ": 1\n") * 2, []),
    ):
        assert len(complaint(text, *overrides)) < 1000


def test_a_name_is_one_line_and_redoes_nothing(tmp_path: Path) -> None:
    assert Recipe(run_dir=tmp_path / "seed7").title == "seed7"
    assert Recipe(run_dir=tmp_path, name="Short chains, [new] data").title == "Short chains, [new] data"
    for name in ("", " ", "two\nlines", "\x1b[31m", "a\u202eb", "x" * 101):
        with pytest.raises(ValidationError, match="name"):
            Recipe(run_dir=tmp_path, name=name)
    assert "name" not in what_matters({"name": "one"})
