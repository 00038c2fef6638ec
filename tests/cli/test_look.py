"""What the commands that look at runs print, at 80 columns."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import small_run
from aftune.cli import run_views, try_views
from aftune.cli.main import app
from aftune.cli.status_views import position, print_rows
from aftune.common import progress
from aftune.common.json_text import read_json
from aftune.common.progress_record import Record
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.look import overview
from aftune.pipeline.look.asking import Answers, Asker, Question, Response
from aftune.pipeline.look.overview import Figures
from aftune.recipe import load_recipe
from aftune.records import Feedback, Group, JudgedResponse, Problem, read_records, write_records
from hostile_text import UNSEEN, hostile

pytestmark = pytest.mark.xdist_group("look")
MARKUP = "[red]x[/red] [link=file:///a]y[/link] [/] [bold"


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "console", Console(highlight=False, width=80))


def aftune(*words: str | Path, keyboard: str | None = None, status: int = 0) -> list[str]:
    """The lines that a command prints; what it says on standard error comes last."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=keyboard)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return [line.rstrip() for line in result.output.splitlines()]


def words(lines: list[str], start: str) -> list[str]:
    return next(line for line in lines if line.strip().startswith(start)).split()


def test_status_of_a_finished_run(small_finished_run: Path) -> None:
    lines = aftune("status", small_finished_run)
    assert lines[0] == f"a small run  finished  {small_finished_run}"
    assert lines[1] == "arithmetic, bundled, seed 0"
    assert [line.split()[:2] for line in lines[2:10]] == [
        [name, "finished"] for name in ("prepare", "sft", "sample", "label", "align", "control", "evaluate", "report")
    ]
    assert lines[10:] == [f"page: {small_finished_run / 'report.html'}"]
    assert all(len(line) <= 80 for line in lines[1:10])


def test_status_of_a_run_that_is_none(tmp_path: Path) -> None:
    why = "is no run, since recipe.yaml and manifest.json are missing"
    assert aftune("status", tmp_path, status=2) == [f"aftune: error: {tmp_path}: {why}; `aftune runs {tmp_path}` looks below it"]


def test_position_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1100.0)
    record = Record("sample", 1000.0, 1100.0, "sample: candidates", "candidates", 0, 1200, 4800)
    assert position(record) == "candidates: 1,200 of 4,800 candidates (25 %), 5 min left"
    assert position(Record("sft", 1000.0, 1100.0, "sft", "steps", 5, 5, 10)) == "5 of 10 steps (50 %)"
    assert position(Record("sft", 1000.0, 1090.0, "sft", "steps", 0, 9, 18, "sft: validation: 4 of 12 problems")) == (
        "9 of 18 steps (50 %), validation: 4 of 12 problems, 80 s left"
    )
    assert position(Record("report", 1060.0, 1060.0)) == "for 40 s"


def test_runs_has_a_row_for_each(small_finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_finished_run, tmp_path / "runs" / "one")
    named = small_run.recipe(tmp_path / "runs" / "two").model_copy(update={"name": MARKUP})
    small_run.finish_all(named)
    RunDirectory(named.run_dir).write_recipe(named)
    lines = aftune("runs", tmp_path / "runs")
    assert all(len(line) <= 80 for line in lines[:-1])
    text = " ".join(" ".join(lines).split())
    assert "[red]x[/red]" in text
    assert "AFT-BC" in text
    assert "finished" in text
    results = read_json(small_finished_run / "metrics.json")["results"]
    shares = [results[key]["accuracy"] for key in ("base", "vft", "aligned")] + [results["aligned"]["assessment_accuracy"]]
    assert words(lines, "a small run")[-4:] == ["-" if share is None else f"{100 * share:.1f}" for share in shares]


def test_runs_has_a_line_for_each_method_of_a_comparison() -> None:
    """All figures fit into 80 columns beside long names, which wrap."""
    methods = {"VFT": Figures({"vft": 0.375}, 1.0), "AFT-BC, beta 0.3": Figures({"aligned": 0.104}, 0.85)}
    place, tasks, model = Path("runs/a-comparison-with-a-long-name"), "arithmetic + sequences", "org/A-Model-2.5B-Instruct"
    rows = [
        overview.Row(place, 0.0, MARKUP, tasks, model, "compare: 3 methods, 2 seeds", "finished", Figures(), methods),
        overview.Row(Path("runs/bad"), 0.0, "bad", trouble=f"runs/bad/manifest.json: cannot be read {MARKUP}"),
    ]
    out = io.StringIO()
    print_rows(rows, Path("runs"), Console(file=out, width=80, highlight=False))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert words(lines, "VFT")[-4:] == ["-", "37.5", "-", "100.0"]
    assert words(lines, "AFT-BC")[-4:] == ["-", "-", "10.4", "85.0"]
    assert any(line.startswith(f"runs/bad/manifest.json: cannot be read {MARKUP}") for line in lines)


def test_a_list_of_problems(small_finished_run: Path) -> None:
    lines = aftune("show", small_finished_run, "--held-out", "--limit", 3)
    assert lines[0] == "a small run 8 problems, mixed ones first"
    assert words(lines, "problem") == ["problem", "part", "right", "base", "VFT", "AFT-BC", "question"]
    shown = [line for line in lines if line.strip().startswith("arithmetic/test/")]
    assert len(shown) == 3
    assert all(len(line) <= 80 for line in lines[:-1])
    assert "and 5 more; --limit 0 lists all" in lines
    assert lines[-1].startswith(f"one of them: aftune show {small_finished_run} arithmetic/test/")
    refused = aftune("show", small_finished_run, "--mixed", "--lost", status=2)
    assert refused == ["aftune: error: --mixed and --lost: choose one of them"]


def test_scores_of_a_training_problem_on_request(small_finished_run: Path) -> None:
    name = read_records(small_finished_run / "label" / "groups.jsonl", Group)[0].problem.id
    assert "candidates; their scores: --score, which loads the models" in aftune("show", small_finished_run, name)
    assert "candidates; score, nats per token: base, VFT, AFT-BC" in aftune("show", small_finished_run, name, "--score")
    refused = aftune("show", small_finished_run, "--score", status=2)
    assert refused == ["aftune: error: --score: scores the candidates of one problem; give its id too"]


def test_a_problem_with_its_answers_candidates_and_scores(small_finished_run: Path) -> None:
    group = next(one for one in read_records(small_finished_run / "evaluate" / "groups.jsonl", Group) if one.candidates)
    name = group.problem.id
    lines = aftune("show", small_finished_run, name)
    assert lines[0] == f"{name}  held out, a small run"
    assert lines[lines.index("gold answer") + 1] == f"  {group.problem.gold_answer}"
    assert words(lines, "base ") == ["base", "VFT", "AFT-BC"]
    files = [small_finished_run / "evaluate" / key / "verdicts.jsonl" for key in ("base", "vft", "aligned")]
    verdicts = [next(one for one in read_records(file, JudgedResponse) if one.problem_id == name) for file in files]
    said = next(line for line in lines if "right" in line or "wrong" in line)
    assert [word for word in said.replace(":", " ").split() if word in ("right", "wrong")] == [
        "right" if one.right else "wrong" for one in verdicts
    ]
    assert "candidates; score, nats per token: base, VFT, AFT-BC" in lines
    there = {candidate.index for candidate in group.candidates}
    gaps = ", ".join(str(index) for index in range(max(there)) if index not in there)
    assert [line for line in lines if line.startswith("left out: ")] == (
        [f"left out: {gaps} (left_out.jsonl says why)"] if gaps else []
    )
    for candidate, feedback in zip(group.candidates, group.feedback, strict=True):
        heading = next(line for line in lines if line.startswith(f"  {candidate.index}  "))
        assert heading.split()[1].rstrip(":") == ("right" if feedback.quality else "wrong")
        assert len([word for word in heading.split() if word.startswith(("-0.", "-1."))]) == 3
        for part in candidate.text.splitlines():
            assert f"    {part}" in lines


def test_hostile_text_does_nothing(small_finished_run: Path, tmp_path: Path) -> None:
    """Neither markup of rich nor what a terminal obeys: all of it is shown, in the list and in full."""
    folder = tmp_path / "run"
    shutil.copytree(small_finished_run, folder)
    path = folder / "label" / "groups.jsonl"
    group = read_records(path, Group)[0]
    evil = hostile(MARKUP)
    problem = Problem(id=evil, task="arithmetic", question=evil, gold_answer=evil, rationale=evil, options=[evil, evil])
    candidate = group.candidates[0].model_copy(update={"problem_id": evil, "text": evil, "source": evil})
    feedback = Feedback(answer=evil, quality=0, reason=evil, detail=evil)
    write_records(path, [Group(problem=problem, candidates=[candidate], feedback=[feedback])])
    for lines in (aftune("show", folder, "--training"), aftune("show", folder, evil)):
        text = "".join(lines)
        assert not set(text) & set(UNSEEN)
        assert "[red]x[/red]" in text.replace(" ", "") or "[red]x[/red]" in text
    full = "".join("".join(line.split()) for line in aftune("show", folder, evil))
    assert "[link=file:///a]y[/link]" in full
    assert "␛[31m" in full
    assert "<script>window.pwned=1</script>" in full
    out = io.StringIO()
    greedy = Response(evil, evil, False, evil, False, -1.0)

    class Stub(Asker):
        def __init__(self) -> None:
            self.missing = []
            self.names = {"base": evil}

        def ask(self, question: Question, num_samples: int = 0):  # type: ignore[no-untyped-def]
            yield Answers("base", greedy, [greedy], evil, [(evil, 1)])

    try_views.print_answers(Stub(), Question(evil), 1, Console(file=out, width=80, force_terminal=False))
    assert not set(out.getvalue()) & set(UNSEEN)
    assert "[link=file:///a]y[/link]" in "".join(out.getvalue().split())


def test_try_asks_all_three_models_and_again_until_an_empty_line(small_finished_run: Path) -> None:
    question = "Tom has 3 marbles. Ann gives him 4 marbles. How many marbles does Tom have?"
    lines = aftune("try", small_finished_run, "-q", question, "--gold", "7", "--samples", 2)
    assert lines[0] == question
    assert words(lines, "base ") == ["base", "VFT", "AFT-BC"]
    assert sum(" 2 samples: " in line for line in lines) == 3
    assert sum("score -" in line for line in lines) >= 6
    assert all(len(line) <= 80 for line in lines)
    lines = aftune("try", small_finished_run, "--model", "vft", keyboard=f"{question}\n{'why ' * 3000}\n{question}\n\nnot asked\n")
    assert lines.count(question) == 2
    assert sum("does not fit into the model's context" in line for line in lines) == 1
    assert "not asked" not in lines


def test_the_end_of_a_run_says_what_to_do_with_it(small_finished_run: Path) -> None:
    out = io.StringIO()
    folder = small_finished_run
    run_views.print_results(load_recipe(folder / "recipe.yaml"), Console(file=out, width=80, highlight=False))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[1].strip() == "a small run: arithmetic, seed 0"
    assert lines[-4:] == [
        f"model   {folder}/align/model (AFT-BC)",
        f'try it  aftune try {folder} -q "A question of your own"',
        f"look    aftune show {folder}",
        f"page    {folder}/report.html",
    ]
    assert "<h1>a small run: arithmetic, bundled base model</h1>" in (folder / "report.html").read_text()
