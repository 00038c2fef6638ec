"""A question of one's own: asked as the run asks, by its models, with scores that transformers gives too."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftune.common.errors import StageError, UsageError
from aftune.pipeline.context import context_of
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.look.asking import Asker, Question, Response, _voted
from aftune.records import JudgedResponse, Problem, read_records

pytestmark = pytest.mark.xdist_group("look")


def test_the_models_of_a_run_answer_as_in_its_evaluation(small_finished_run: Path) -> None:
    problem = read_records(small_finished_run / "prepare" / "test.jsonl", Problem)[3]
    asker = Asker(str(small_finished_run), keep=True)
    found = list(asker.ask(Question(problem.question, gold=problem.gold_answer)))
    assert [one.model for one in found] == ["base", "VFT", "AFT-BC"]
    for answers, name in zip(found, ("base", "vft", "aligned"), strict=True):
        verdicts = read_records(small_finished_run / "evaluate" / name / "verdicts.jsonl", JudgedResponse)
        asked = next(one for one in verdicts if one.problem_id == problem.id)
        greedy = answers.greedy
        assert (greedy.text, greedy.answer, greedy.right, greedy.reason) == (asked.text, asked.answer, asked.right, asked.reason)
        assert greedy.score is None
        assert not answers.samples
    again = list(asker.ask(Question(problem.question)))
    assert [one.greedy.text for one in again] == [one.greedy.text for one in found]
    assert {one.greedy.right for one in again} == {None}


def test_samples_have_scores_and_a_vote(small_finished_run: Path) -> None:
    question = Question("Tom has 3 marbles. Ann gives him 4 marbles. How many marbles does Tom have?", gold="7")
    [answers] = Asker(str(small_finished_run), ["vft"]).ask(question, 5)
    [again] = Asker(str(small_finished_run), ["vft"]).ask(question, 5)
    assert again == answers
    assert len(answers.samples) == 5
    assert len({one.text for one in answers.samples}) > 1
    assert sum(number for _, number in answers.votes) == sum(one.answer is not None for one in answers.samples)
    assert answers.vote == answers.votes[0][0]
    folder = small_finished_run / "sft" / "model"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype="float32"), AutoTokenizer.from_pretrained(folder)
    asked = Problem(id="asked", task="arithmetic", question=question.text, gold_answer="7")
    prompt = context_of(small_finished_run).prompter(asked)
    for one in (answers.greedy, *answers.samples):
        end = [] if one.truncated else [tokenizer.eos_token_id]
        response = [*tokenizer(one.text, add_special_tokens=False)["input_ids"], *end]
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        logprobs = torch.log_softmax(logits, -1)[torch.arange(len(response)), torch.tensor(response)]
        assert one.score == pytest.approx(logprobs.mean().item(), abs=1e-4)


def test_votes_count_equal_answers_once() -> None:
    answers = ["7", "9", "7.0", None, "9", "7"]
    samples = [Response("", answer, None, "different", False, -1.0) for answer in answers]
    assert _voted(samples) == ("7", [("7", 3), ("9", 2)])
    assert _voted([]) == (None, [])
    assert _voted(samples[3:4]) == (None, [])


def test_any_model_can_be_asked() -> None:
    [answers] = Asker("bundled", overrides=["model.precision=float32"]).ask(Question("Tom has 3 beads and buys 4. How many?"))
    assert answers.model == "bundled"
    assert answers.greedy.text


@pytest.mark.parametrize(
    ("overrides", "question", "message"),
    [
        (["task.name=aqua"], Question("Which?"), "task aqua asks with options; give them, each with --option"),
        (
            ["task.name=jsonl", "task.options={answer_kind: choice, options: [a, b]}"],
            Question("Which?"),
            "task jsonl asks with options",
        ),
        ([], Question("  "), "the question is empty"),
        ([], Question("why " * 5000), "does not fit into the model's context of"),
    ],
)
def test_a_question_that_cannot_be_asked(overrides: list[str], question: Question, message: str) -> None:
    asker = Asker("bundled", overrides=["model.precision=float32", *overrides])
    with pytest.raises(UsageError, match=message):
        list(asker.ask(question))


def test_sources_and_models_that_there_are_not(small_finished_run: Path, tmp_path: Path) -> None:
    run = str(small_finished_run)
    with pytest.raises(UsageError, match="--model is 'best', expected one of base, vft, vft_same_steps, aligned"):
        Asker(run, ["best"])
    with pytest.raises(UsageError, match="a run asks as its recipe says"):
        Asker(run, overrides=["prompt.style=chat"])
    with pytest.raises(UsageError, match="--task is 'gsm8k', expected one of arithmetic"):
        Asker(run, task="gsm8k")
    with pytest.raises(UsageError, match="neither a run directory nor a model in Hugging Face format"):
        Asker(str(tmp_path))


def test_a_run_that_is_not_finished_asks_the_models_that_it_has(small_finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(small_finished_run, folder)
    RunDirectory(folder).set_aside("align")
    asker = Asker(str(folder))
    assert (list(asker.names), asker.missing) == (["base", "vft"], ["aligned"])
    with pytest.raises(StageError, match="stage align is not finished, so there is no model aligned"):
        Asker(str(folder), ["aligned"])
