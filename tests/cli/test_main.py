"""The command line as a user meets it: exit statuses, one-line errors, nothing lost."""

import errno
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from aftune import __version__
from aftune.cli.main import app
from aftune.cli.shared import guard
from aftune.common import progress
from aftune.common.errors import UsageError
from aftune.pipeline.estimate.machines import Machine
from aftune.pipeline.estimate.tracing import PassMemory
from aftune.recipe import Recipe, bundled_recipe
from aftune.records import Record
from aftune.sampling import collect
from small_run import SETTINGS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def aftune(*arguments: str | Path) -> Outcome:
    """The command in this process: importing torch anew for each would take most of the time."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def one_line_error(result: Outcome, status: int) -> str:
    """The message, after checking that it is one line without a traceback."""
    assert result.status == status, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("aftune: error: ")
    return lines[0]


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"run_dir": str(tmp_path / "run"), **SETTINGS}))
    return path


def test_help_does_not_import_torch() -> None:
    program = "import sys; from typer.testing import CliRunner; from aftune.cli.main import app; " + (
        "r = CliRunner().invoke(app, ['--help']); assert r.exit_code == 0 and 'quickstart' in r.output; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules or 'pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_the_first_line_of_a_run_comes_before_torch_is_imported(recipe_file: Path) -> None:
    program = (
        "import sys; from aftune.common.progress import console; from aftune.cli.main import main; "
        "console.print = lambda line, **_: sys.exit(f'{line} {\"torch\" in sys.modules}'); "
        f"sys.argv = ['aftune', 'run', {str(recipe_file)!r}]; main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=60, capture_output=True, text=True)
    assert ended.stderr.strip() == f"[bold]aftune {__version__}[/bold]  recipe.yaml -> {recipe_file.parent / 'run'} False"


def test_dry_run_prints_the_plan_and_touches_nothing(recipe_file: Path, tmp_path: Path) -> None:
    result = aftune("run", recipe_file, "align.beta=0.25", "--dry-run")
    assert result.status == 0, result.stderr
    assert "beta: 0.25" in result.stdout
    assert re.search(r"12 groups of up to 4\s[^x]*responses\s[^x]*x 2\s", result.stdout)  # may wrap, with figures between
    assert re.search(r"1,363,360 parameters; \S+( to \S+)? (seconds?|minutes) on this machine", result.stdout)
    assert sorted(tmp_path.iterdir()) == [recipe_file]


def printed_settings(output: str) -> Any:
    return yaml.safe_load(re.split(r"^Settings.*\n", output, flags=re.MULTILINE)[1].partition("\nStages")[0])


@pytest.mark.usefixtures("_uncounted")
def test_dry_run_shows_the_settings_that_are_not_the_defaults(recipe_file: Path) -> None:
    """Or all of them; either way they are a recipe, the same one."""
    short, whole = (
        aftune("run", recipe_file, "align.beta=0.25", "sft.batch_size=16", "--dry-run", *more) for more in ([], ["--settings"])
    )
    few, all_of_them = printed_settings(short.stdout), printed_settings(whole.stdout)
    assert few["align"] == {**yaml.safe_load(recipe_file.read_text()).get("align", {}), "beta": 0.25}
    assert "batch_size" not in few.get("sft", {})  # 16 is the default
    assert all_of_them["sft"]["batch_size"] == 16
    assert Recipe.model_validate(few) == Recipe.model_validate(all_of_them)
    assert "add --dry-run" in one_line_error(aftune("run", recipe_file, "--settings"), 2)


@pytest.mark.usefixtures("_uncounted")
@pytest.mark.parametrize(("load", "said"), [(1.4, False), (3.2, True)])
def test_dry_run_says_that_the_machine_is_busy(recipe_file: Path, monkeypatch: pytest.MonkeyPatch, load: float, said: bool) -> None:
    monkeypatch.setattr("psutil.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("psutil.cpu_count", lambda: 2)
    for command in ("run", "compare"):
        result = aftune(command, recipe_file, "--dry-run")
        assert result.status == 0, result.stderr
        assert ("The machine is busy (load 3.2 on 2 cores)" in result.stdout) == said


@pytest.fixture
def _uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what a pass holds, whose count takes seconds and has its own tests, and tries the model with little work."""
    monkeypatch.setattr("aftune.pipeline.estimate.speed._TRIAL_SECONDS", 0.01)
    monkeypatch.setattr("aftune.pipeline.estimate.memory.pass_memory", lambda *args, **options: PassMemory(2**30, 2**30, 2**30))


@pytest.mark.usefixtures("_uncounted")
@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file or folder; check the path"),
        ('{"text": "2"}\n', "1: neither 'problem_id' nor 'question' says which problem this is"),
    ],
)
def test_candidates_that_cannot_be_read_show_in_a_dry_run(tmp_path: Path, text: str | None, said: str, command: str) -> None:
    path = tmp_path / "candidates.jsonl"
    if text is not None:
        path.write_text(text)
    given = ["candidates.format=json_lines", f"candidates.path={path}"]
    result = aftune(command, ROOT / "recipes" / "quickstart.yaml", f"run_dir={tmp_path / 'run'}", *given, "--dry-run")
    assert result.status == 0, result.stderr
    assert result.stdout.count(f"{path}:") == 1
    assert said in result.stdout


@pytest.mark.usefixtures("_uncounted")
@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "recipes").glob("*.yaml")))
def test_every_shipped_recipe_passes_a_dry_run(name: str, tmp_path: Path) -> None:
    """A sharded one without sharding, which is refused on a machine without GPUs."""
    head, _, settings = (ROOT / "recipes" / name).read_text().partition("run_dir:")
    alone = ["launch.sharding=none"] if "sharding:" in settings else []
    result = aftune("run", ROOT / "recipes" / name, *alone, "--dry-run")
    assert result.status == 0, result.stderr
    assert "Estimated cost" in result.stdout
    assert not list(tmp_path.iterdir())
    if re.search(rf"aftune compare {Path(name).stem}\s", head):
        result = aftune("compare", ROOT / "recipes" / name, "--dry-run")
        assert result.status == 0, result.stderr
        assert not list(tmp_path.iterdir())
    else:
        assert f"aftune run {Path(name).stem}" in head or "aftune quickstart" in head


@pytest.mark.usefixtures("_uncounted")
def test_dry_run_for_another_machine(recipe_file: Path, tmp_path: Path) -> None:
    """7 billion weights: 26.08 GiB in float32, 13.04 in bfloat16, 52.15 of Adam. The adapter of rank 16 on queries and values of a
    Llama with 33 layers, 4,224 wide, has 33 x 2 x 16 x 2 x 4,224 weights, 0.03 GiB. In 4 bits are 6.742 billion weights, 3.24 GiB,
    in bfloat16 the rest, 0.48. 24 GiB are 22.3 for tensors: too little for LoRA's float32 scores, enough for QLoRA."""
    pytest.importorskip("peft")
    model = ["model.name=somebody/large-7B", "model.precision=auto", "adapter.kind=lora"]
    settings = [*model, "sample.batch_size=4", "evaluate.batch_size=4"]
    result = aftune("run", recipe_file, *settings, "sample.engine=vllm", "--dry-run", "--for", "1x24GiB")
    assert result.status == 0, result.stderr
    assert "engine transformers with this model; not known: vllm (sample)." in " ".join(result.stdout.split())
    table = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.partition("Memory on 1x24GiB, GiB")[2].splitlines()]
    assert table[1] == ["full", "LoRA (recipe)", "QLoRA"]
    rows = {row[0]: row[1:] for row in reversed(table) if len(row) == 4}
    assert rows["weights"] == ["26.08", "13.07", "3.75"]  # of training, the first of these rows
    assert rows["optimizer"][0] == "52.15"
    assert float(rows["scores in evaluate"][1]) == pytest.approx(26.08, abs=1.5)
    assert rows["fits into 22.3 GiB"] == ["no", "no", "yes"]
    assert "a Llama of its size is counted" in result.stdout
    assert "It does not fit on 1x24GiB, where 22.32 GiB can be used: scores in evaluate 2" in result.stdout
    assert "The smallest card that holds it is RTX5090." in result.stdout
    assert "What would fit: adapter.kind=qlora, with " in result.stdout
    assert "precision: bfloat16" in result.stdout
    assert sorted(tmp_path.iterdir()) == [recipe_file]


@pytest.mark.usefixtures("_uncounted")
def test_dry_run_for_a_card_tells_the_time(recipe_file: Path) -> None:
    result = aftune("run", recipe_file, "--dry-run", "--for", "8xA100-80", "--processes", "auto")
    assert result.status == 0, result.stderr
    assert "on 8xA100-80 (rough: 35% of the card's peak, from its data sheet)" in result.stdout
    assert "of each of 8 cards (sharding: none)" in result.stdout
    assert re.search(r"time, rough( +\S+( to \S+)? \w+){3}", result.stdout)


@pytest.mark.usefixtures("_uncounted")
def test_dry_run_says_that_no_card_holds_a_model(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 billion weights with gradients and Adam are 1,192 GiB; this machine has 4, where nothing of it fits."""
    machine = Machine("this machine", 1, 4 * 2**30, gpu=False)
    monkeypatch.setattr("aftune.cli.run_views.this_machine", lambda recipe: machine)
    monkeypatch.setattr("aftune.cli.memory_views.first_remedy", lambda recipe, machine: None)
    result = aftune("run", recipe_file, "model.name=somebody/large-80B", "--dry-run")
    assert result.status == 0, result.stderr
    assert "It does not fit on this machine, where 4.00 GiB can be used" in result.stdout
    assert "No single card that aftune knows holds it." in result.stdout
    assert "None of the remedies that were tried fits" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "1xH100"], "--for estimates a run on another machine, and runs nothing there; add --dry-run"),
        (["--dry-run", "--for", "H9000"], "--for: 'H9000' is no machine that aftune knows"),
        (["--dry-run", "--for", "2xH100", "launch.processes=4"], "launch.processes: 4 on 2xH100; set 2, or auto"),
    ],
)
def test_machines_that_cannot_be_meant(recipe_file: Path, arguments: list[str], message: str) -> None:
    assert message in one_line_error(aftune("run", recipe_file, *arguments), 2)


def test_unknown_key_names_the_nearest(recipe_file: Path, tmp_path: Path) -> None:
    message = one_line_error(aftune("run", recipe_file, "align.constrain=none"), 2)
    assert "unknown key 'align.constrain'; did you mean 'constraint'?" in message


def test_wrong_value_names_what_is_allowed(recipe_file: Path, tmp_path: Path) -> None:
    message = one_line_error(aftune("run", recipe_file, "align.constraint=hard"), 2)
    assert "align.constraint is 'hard'" in message
    assert "'none', 'detached' or 'boundary'" in message


def test_missing_recipe_is_a_usage_error(tmp_path: Path) -> None:
    assert "no-such.yaml: no such recipe file" in one_line_error(aftune("run", "no-such.yaml"), 2)


def test_traceback_with_debug_only() -> None:
    with pytest.raises(UsageError, match="no such recipe file"):
        aftune("run", "no-such.yaml", "--debug")


def test_command_of_an_installed_package_ends_with_the_status() -> None:
    """In a process of its own: what a shell sees."""
    command = [sys.executable, "-m", "aftune", "run", "no-such.yaml"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert result.stderr == "aftune: error: no-such.yaml: no such recipe file; `aftune recipes` lists the ready ones\n"
    assert subprocess.run([*command[:3], "no-such-command"], capture_output=True, check=False, timeout=60).returncode == 2


def gsm8k_run(tmp_path: Path, lines: list[str], *overrides: str) -> Outcome:
    """Stage `prepare` on a GSM8K folder whose training file has these lines."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text("".join(lines))
    good = json.dumps({"question": "What is 3 + 4?", "answer": "3+4=7\n#### 7"}) + "\n"
    (data / "test.jsonl").write_text(good)
    recipe = tmp_path / "gsm8k.yaml"
    task = {"name": "gsm8k", "train": "train[1:]", "validation": "train[:1]", "test": "test"}
    recipe.write_text(yaml.safe_dump({"run_dir": str(tmp_path / "run"), "data": str(data), "task": task}))
    return aftune("prepare", recipe, *overrides)


def gsm8k_line(number: int, **changes: str) -> str:
    row = {"question": f"What is {number} + 1?", "answer": f"{number}+1={number + 1}\n#### {number + 1}"}
    return json.dumps(row | changes) + "\n"


def test_empty_data_file(tmp_path: Path) -> None:
    message = one_line_error(gsm8k_run(tmp_path, []), 1)
    assert "train.jsonl: the file is empty" in message


def test_truncated_line(tmp_path: Path) -> None:
    message = one_line_error(gsm8k_run(tmp_path, [gsm8k_line(1), gsm8k_line(2), gsm8k_line(3)[:30]]), 1)
    assert "train.jsonl:3: not valid JSON" in message
    assert "cut off" in message


def test_problem_without_gold_answer(tmp_path: Path) -> None:
    message = one_line_error(gsm8k_run(tmp_path, [gsm8k_line(1), gsm8k_line(2, answer="no idea")]), 1)
    assert 'train.jsonl:2: no gold answer: "answer" has no number after "####"' in message


def test_question_longer_than_the_context(tmp_path: Path) -> None:
    lines = [gsm8k_line(1), gsm8k_line(2), gsm8k_line(3, question="why " * 2000)]
    message = one_line_error(gsm8k_run(tmp_path, lines), 1)
    assert "gsm8k/train/2: the question has " in message
    assert "the model's context is 1,024" in message
    assert "task.skip_too_long=true" in message


def test_too_long_question_is_listed_when_left_out(tmp_path: Path) -> None:
    lines = [gsm8k_line(1), gsm8k_line(2), gsm8k_line(3, question="why " * 2000)]
    result = gsm8k_run(tmp_path, lines, "task.skip_too_long=true")
    assert result.status == 0, result.stderr
    assert "left out 1" in result.stdout
    left_out = json.loads((tmp_path / "run" / "prepare" / "left_out.json").read_text())
    assert [row["id"] for row in left_out] == ["gsm8k/train/2"]


def test_missing_data_folder(recipe_file: Path, tmp_path: Path) -> None:
    result = aftune("prepare", recipe_file, "task.name=gsm8k", "task.options={}", "task.validation=train", "data=nowhere")
    assert "data: nowhere: no such file or folder; check the path" in one_line_error(result, 1)


def test_model_folder_without_tokenizer(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(ROOT / "src" / "aftune" / "assets" / "base" / name, folder / name)
    message = one_line_error(aftune("prepare", recipe_file, f"model.name={folder}"), 1)
    assert f"model.name: {folder} has no tokenizer" in message


def test_folder_that_is_no_model(recipe_file: Path, tmp_path: Path) -> None:
    message = one_line_error(aftune("prepare", recipe_file, f"model.name={tmp_path}"), 1)
    assert "holds no model (config.json is missing)" in message


def test_run_directory_that_cannot_be_written(recipe_file: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    message = one_line_error(aftune("prepare", recipe_file, f"run_dir={blocker}/run"), 1)
    assert f"run_dir: {blocker}/run cannot be written to" in message
    assert "choose another" in message


def test_stage_without_its_inputs(recipe_file: Path, tmp_path: Path) -> None:
    assert "run it first" in one_line_error(aftune("label", recipe_file), 1)


def test_full_disk_keeps_what_was_written(recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's answer to a write on a full disk, in the middle of sampling; then there is room again."""
    assert aftune("prepare", recipe_file).status == 0
    assert aftune("sft", recipe_file).status == 0
    append, count = collect.append_records, 0

    def append_until_full(path: Path, records: Iterable[Record]) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        append(path, records)

    monkeypatch.setattr(collect, "append_records", append_until_full)
    message = one_line_error(aftune("sample", recipe_file), 1)
    candidates = tmp_path / "run" / "sample" / "candidates.jsonl"
    assert f"{candidates}: the disk is full; free some space and run the same command again" in message
    written = candidates.read_bytes()
    assert written.count(b"\n") == 24  # blocks of whole problems
    monkeypatch.setattr(collect, "append_records", append)
    assert aftune("sample", recipe_file).status == 0
    assert candidates.read_bytes().startswith(written)
    assert candidates.read_bytes().count(b"\n") == 12 * 3


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.train=foo[:10]", "task arithmetic has no split 'foo'; it has train, validation, test"),
        ("task.test=test[:abc]", "'test[:abc]' is not a split"),
        ("task.name=foo", "task.name: there is no task 'foo'"),
        ("model.device=cuda", "model.device: torch finds no cuda on this machine; use auto or cpu"),
    ],
)
def test_what_does_not_exist_is_said_before_anything_is_done(
    recipe_file: Path, tmp_path: Path, override: str, message: str, dry_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    result = aftune("run", recipe_file, override, *dry_run)
    assert message in one_line_error(result, 2)
    assert len(result.stdout.strip().splitlines()) <= 1  # the title of a run
    assert not (tmp_path / "run").exists()


def test_a_refused_stage_leaves_the_recipe_of_the_run(recipe_file: Path, tmp_path: Path) -> None:
    assert aftune("prepare", recipe_file).status == 0
    before = (tmp_path / "run" / "recipe.yaml").read_text()
    assert "run it first" in one_line_error(aftune("label", recipe_file, "sample.temperature=0.9"), 1)
    assert (tmp_path / "run" / "recipe.yaml").read_text() == before


def test_alignment_without_a_single_candidate_is_an_error(recipe_file: Path, tmp_path: Path) -> None:
    """All candidates are cut off after one token, and none is left to learn from."""
    for stage in ("prepare", "sft", "sample", "label"):
        assert aftune(stage, recipe_file, "sample.max_new_tokens=1").status == 0
    message = one_line_error(aftune("align", recipe_file, "sample.max_new_tokens=1"), 1)
    assert "no group has a candidate left" in message
    assert "left_out.jsonl" in message


def test_help_of_compare() -> None:
    result = aftune("compare", "--help")
    assert result.status == 0
    for option in ("--methods", "--seeds", "--jobs", "--dry-run"):
        assert option in result.stdout


def test_dry_run_of_compare_prints_the_plan_and_writes_nothing(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.console, "width", 200)
    methods = "vft, vft-compute,aft-bc:beta=auto:k=2,"
    result = aftune("compare", recipe_file, "seed=4", "--methods", methods, "--seeds", "2", "--dry-run")
    assert result.status == 0, result.stderr
    *plan, cost = (" ".join(line.split()) for line in result.stdout.splitlines())
    assert plan == [
        "Runs",
        "method what it is changes in the recipe seed 4 seed 5",
        "(shared) one VFT model, one set of candidates new new",
        "vft VFT new new",
        "vft-compute VFT, same compute control.match=compute new new",
        "aft-bc:beta=auto:k=2 AFT-BC, beta auto, k 2 "
        "align.loss=aft, align.constraint=boundary, align.beta=auto, align.num_candidates=2 new new",
    ]
    assert re.match(r"8 runs would compute 0\.\d million tokens and take \S+( to \S+)? (seconds?|minutes) \(", cost)
    assert sorted(tmp_path.iterdir()) == [recipe_file]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "vft,aft_bc"], "compare: there is no method 'aft_bc'; did you mean 'aft-bc'?"),
        (["--methods", "qqq"], "compare: there is no method 'qqq'. There are vft, vft-steps,"),
        (["--methods", " , "], "compare: expected methods, each once; the list is empty"),
        (["--methods", "aft,aft"], "compare: expected methods, each once; repeated: aft"),
        (["--methods", "vft:k=2"], "compare: vft is the VFT model as it is and takes no settings"),
        (["--methods", "aft:beta=x"], "method aft:beta=x: align.beta is 'x': input should be a valid number"),
        (["compare.num_seeds=0"], "override 'compare.num_seeds=0': compare.num_seeds is 0: "),
        (["compare.methods=[vft, pr0]"], "compare: there is no method 'pr0'; did you mean 'pro'?"),
    ],
)
def test_wrong_methods_are_said_in_one_line_before_anything_is_done(
    recipe_file: Path, tmp_path: Path, arguments: list[str], message: str, dry_run: list[str]
) -> None:
    result = aftune("compare", recipe_file, *arguments, *dry_run)
    assert message in one_line_error(result, 2)
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == [recipe_file]


def test_a_stage_that_the_recipe_does_not_have(recipe_file: Path, tmp_path: Path) -> None:
    message = one_line_error(aftune("control", recipe_file, "control.enabled=false"), 1)
    assert "control: this recipe has no such stage" in message
    assert "reference: this recipe has no such stage" in one_line_error(aftune("reference", recipe_file), 1)
    assert "reference: stage prepare is not finished" in one_line_error(aftune("reference", recipe_file, "align.loss=dpo"), 1)


def test_export_writes_pairs_and_names_what_is_wrong(tmp_path: Path) -> None:
    problem = {"id": "a", "task": "t", "question": "q?", "gold_answer": "1"}
    candidates = [{"problem_id": "a", "index": index, "text": text} for index, text in enumerate(("x", "y"))]
    feedback = [{"quality": 0, "reason": ""}, {"quality": 1, "reason": ""}]
    source = tmp_path / "groups.jsonl"
    source.write_text(json.dumps({"problem": problem, "candidates": candidates, "feedback": feedback}) + "\n")
    done = aftune("export", source, "--to", "preference-pairs", "--out", tmp_path / "pairs.jsonl")
    assert done.status == 0
    assert "groups 1, pairs 1" in done.stdout
    assert json.loads((tmp_path / "pairs.jsonl").read_text()) == {
        "prompt": "Question: q?\nAnswer:\n",
        "chosen": "y",
        "rejected": "x",
    }
    wrong = aftune("export", source, "--to", "parquet", "--out", tmp_path / "p")
    assert wrong.status == 2
    known = "preference-pairs, dataset, samples, merged, adapter, gguf, ollama"
    assert (
        wrong.stderr == f"aftune: error: --to is 'parquet', expected one of {known}; to the Hub: aftune push {source} OWNER/NAME\n"
    )


def test_compare_lists_its_methods() -> None:
    result = CliRunner().invoke(app, ["compare", str(bundled_recipe("compare-small.yaml")), "--methods", "help"])
    assert result.exit_code == 0
    said = "aft-bc        AFT-BC             with wrong candidates pushed down to a floor, no further (boundary constraint)"
    assert said in result.output.splitlines()


def test_ctrl_c_that_a_library_has_taken_ends_as_ours(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        guard(interrupted, debug=False)
    assert ended.value.exit_code == 130
    said = capsys.readouterr().err
    assert said == "aftune: stopped by Ctrl-C; the same command continues where it stopped\n"
