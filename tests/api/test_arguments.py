"""What does not fit is an error that names the function and the argument, before anything is computed or written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aftune
from aftune import Candidate, Feedback, Group, Problem
from aftune.errors import DataError, MissingFileError, NotFoundError, RepeatedIdError, UsageError
from aftune.recipe import ModelSection, PromptSection, TaskSection

PROBLEM = Problem(id="1", task="arithmetic", question="What is 1 + 1?", gold_answer="2", rationale="1+1=2\n#### 2")
CANDIDATE = Candidate(problem_id="1", index=0, text="#### 2")
GROUP = Group(problem=PROBLEM, candidates=[CANDIDATE], feedback=[Feedback(quality=1, reason="matched")])
OF_MINE = PROBLEM.model_copy(update={"task": "mine"})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: aftune.load_problems("arithmetc"), UsageError, r"task\.name: there is no task 'arithmetc'"),
        (lambda: aftune.load_problems("arithmetic", "dev"), UsageError, "task arithmetic has no split 'dev'; it has train"),
        (
            lambda: aftune.load_problems("gsm8k", data="nowhere"),
            MissingFileError,
            "data: nowhere: no such file or folder",
        ),
        (lambda: aftune.sample("bundled", []), UsageError, "sample: problems is empty; give at least one"),
        (
            lambda: aftune.sample("bundled", [PROBLEM, PROBLEM]),
            RepeatedIdError,
            "sample: problems: problems 1 and 2 have the same id",
        ),
        (
            lambda: aftune.sample("bundled", [PROBLEM], temprature=1),
            UsageError,
            "sample: unknown key 'temprature'; did you mean 'temp",
        ),
        (
            lambda: aftune.sample("bundled", [PROBLEM], temperature=-1),
            UsageError,
            "sample: temperature is -1: input should be greater",
        ),
        (lambda: aftune.sample("nowhere/at/all", [PROBLEM]), MissingFileError, r"model\.name: nowhere/at/all holds no model"),
        (lambda: aftune.sample({"name": "bundled", "dtype": 1}, [PROBLEM]), UsageError, r"sample: unknown key 'model\.dtype'"),
        (lambda: aftune.sample(3, [PROBLEM]), UsageError, "sample: model is int, expected a folder, a name on the Hub, bundled"),
        (lambda: aftune.sample("bundled", [PROBLEM], tokenizer=object()), UsageError, "sample: tokenizer: is for a loaded model"),
        (lambda: aftune.sample("bundled", [OF_MINE]), UsageError, "sample: task: there are problems of task 'mine'"),
        (lambda: aftune.sample("bundled", [PROBLEM], task="mine"), UsageError, r"task\.name: there is no task 'mine'"),
        (lambda: aftune.sample("bundled", [PROBLEM], prompt={"style": "chatty"}), UsageError, r"sample: prompt\.style is 'chatty'"),
        (lambda: aftune.sample("bundled", [PROBLEM], prompt={"few_shot": 1}), UsageError, "few_shot is 1, which takes 2 solved"),
        (lambda: aftune.sample("bundled", [PROBLEM], seed=-1), UsageError, "sample: seed is -1"),
        (
            lambda: aftune.sample("bundled", [PROBLEM.model_copy(update={"question": "How many? " * 2000})]),
            DataError,
            r"sample: problems: 1: the question has \S+ tokens, the model's context is \S+; leave it out",
        ),
        (lambda: aftune.sample("bundled", PROBLEM), UsageError, r"sample: problems\[0\] is tuple, expected Problem"),
        (lambda: aftune.sample("bundled", [PROBLEM], purpose="try"), UsageError, "sample: purpose is 'try', expected sample or"),
        (lambda: aftune.label([PROBLEM], [GROUP]), UsageError, r"label: candidates\[0\] is Group, expected Candidate"),
        (lambda: aftune.align("bundled", [PROBLEM], "out"), UsageError, r"align: groups\[0\] is Problem, expected Group"),
        (lambda: aftune.label([PROBLEM], []), UsageError, "label: candidates is empty; give at least one"),
        (lambda: aftune.label([PROBLEM], [CANDIDATE], reading="loose"), UsageError, "label: reading is 'loose'"),
        (
            lambda: aftune.align("bundled", [GROUP], "out", start="base"),
            UsageError,
            "align: there is no 'start' here: training starts",
        ),
        (lambda: aftune.align("bundled", [GROUP], "out", betta=1), UsageError, "align: unknown key 'betta'; did you mean 'beta'"),
        (lambda: aftune.align("bundled", [GROUP], "out", loss="ipo"), UsageError, "align: constraint: ipo takes no boundary"),
        (lambda: aftune.align("bundled", [GROUP], "out", adapter={"rank": 0}), UsageError, r"align: adapter\.rank is 0"),
        (lambda: aftune.align("bundled", [GROUP], "out", optimizer="adamv"), UsageError, r"align\.optimizer is 'adamv'"),
        (lambda: aftune.align("bundled", [GROUP], "out", validation_groups=1), DataError, r"align\.validation_groups: 1 of 1"),
        (lambda: aftune.sft("bundled", [PROBLEM], "out", validation=[]), UsageError, "sft: validation is empty"),
        (
            lambda: aftune.evaluate("bundled", [PROBLEM], num_candidates=4),
            UsageError,
            "evaluate: there is no 'num_candidates' here",
        ),
        (lambda: aftune.evaluate("bundled", [PROBLEM], reading="loose"), UsageError, "evaluate: reading is 'loose'"),
        (lambda: aftune.compare("compare-smal"), NotFoundError, "compare-smal: no such recipe file; did you mean compare-small"),
        (lambda: aftune.compare({"run_dir": "out"}, methods=["dpoo"]), UsageError, "there is no method 'dpoo'; did you mean 'dpo'"),
        (lambda: aftune.compare({"run_dir": "out"}, num_seeds=0), UsageError, "compare: num_seeds is 0, expected 1 or more"),
        (
            lambda: aftune.compare({"run_dir": "out", "alin": {}}),
            UsageError,
            "compare: recipe: unknown key 'alin'; did you mean 'align'",
        ),
    ],
)
def test_what_does_not_fit(
    call: Callable[[], Any], error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as raised:
        call()
    assert type(raised.value) is error
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_model_needs_its_tokenizer(llama: Any) -> None:
    with pytest.raises(UsageError, match="sample: tokenizer: a loaded model needs its tokenizer"):
        aftune.sample(llama, [PROBLEM])


def test_a_loaded_model_is_not_quantised(llama: Any, tokenizer: Any) -> None:
    pytest.importorskip("peft", reason="PEFT is not installed: pip install 'aftune[peft]'")
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
    with pytest.raises(UsageError, match="align: adapter: qlora loads the model in 4 bits; give its folder or name"):
        aftune.align(llama, [GROUP], "out", tokenizer=tokenizer, adapter={"kind": "qlora"})


def test_several_processes_are_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="sample: works in one process, and there are 2; use aftune run --processes"):
        aftune.sample("bundled", [PROBLEM])


def test_the_task_of_problems_and_sections_as_objects() -> None:
    """Problems of two tasks, of one's own kind with its options, and sections in place of dictionaries."""
    other = aftune.load_problems("sequences", "train[:1]")
    texts = [one.rationale or "" for one in (PROBLEM, *other)]
    both = [Candidate(problem_id=one.id, index=0, text=text) for one, text in zip((PROBLEM, *other), texts, strict=True)]
    with pytest.warns(UserWarning, match="No group has both right and wrong candidates"):
        groups = aftune.label([PROBLEM, *other], both)
    assert [group.qualities for group in groups] == [[1.0], [1.0]]
    task = TaskSection(name="jsonl", options={"answer_kind": "text"}, train="train", validation="train", test="train")
    word = OF_MINE.model_copy(update={"gold_answer": "two"})
    replies = [
        CANDIDATE.model_copy(update={"index": place, "text": text})
        for place, text in enumerate(["The answer is Two.", "The answer is three."])
    ]
    assert aftune.label([word], replies, task=task)[0].qualities == [1.0, 0.0]
    prompt = PromptSection(few_shot=1)
    examples = aftune.load_problems("arithmetic", "train[:2]")
    model = ModelSection(precision="float32")
    [candidate] = aftune.sample(model, [PROBLEM], prompt=prompt, examples=examples, num_candidates=1, max_new_tokens=4)
    [bare] = aftune.sample(model, [PROBLEM], num_candidates=1, max_new_tokens=4)
    assert candidate.settings["stop"]
    assert "stop" not in bare.settings
