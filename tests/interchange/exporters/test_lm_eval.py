"""lm-evaluation-harness on a model folder of ours, with the task of recipes/lm-eval."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftune.common.data_files import read_rows
from aftune.interchange.importers import import_candidates
from aftune.models.loading import load_model, resolve
from aftune.prompts.prompter import Prompter
from aftune.recipe import ImportSection, ModelSection
from aftune.records import Problem
from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.tasks.gsm8k import parse_row


@pytest.fixture(scope="module")
def samples(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the harness writes for the bundled model."""
    lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    from lm_eval.tasks import TaskManager

    folder = repository / "recipes" / "lm-eval"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the data file is named relative to it
        for offline in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
            patch.setenv(offline, "1")
        results: Any = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": resolve("bundled"), "dtype": "float32"},
            tasks=["aftune_questions"],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            device="cpu",
            batch_size=1,
            bootstrap_iters=0,
        )
    path = tmp_path_factory.mktemp("lm_eval") / "samples_aftune_questions.jsonl"
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in results["samples"]["aftune_questions"]))
    return path


@pytest.fixture(scope="module")
def problems(repository: Path) -> list[Problem]:
    rows = read_rows(repository / "recipes" / "lm-eval" / "questions.jsonl")
    return [parse_row(row, place, f"q/{number}") for number, (place, row) in enumerate(rows)]


def test_the_harness_asks_and_decodes_as_we_do(samples: Path, problems: list[Problem], tokenizer: Any) -> None:
    """Its responses, imported, are the greedy responses of our engine to our plain prompts."""
    imported = import_candidates(ImportSection(format="lm_eval", path=samples), None, problems)
    assert imported.left_out == []
    assert [candidate.problem_id for candidate in imported.candidates] == [problem.id for problem in problems]
    engine = TransformersEngine(load_model("bundled", ModelSection(device="cpu", precision="float32")), tokenizer)
    prompter = Prompter(tokenizer)
    requests = [Request(prompter(problem)) for problem in problems]
    completions = dict(engine.complete(requests, SamplingSettings(max_new_tokens=192, temperature=0.0)))
    assert [candidate.text for candidate in imported.candidates] == [completions[i].text for i in range(len(problems))]


def test_the_task_folder_is_one_that_our_tasks_read(problems: list[Problem]) -> None:
    assert [problem.gold_answer for problem in problems] == ["24", "33", "23", "14"]
