"""Task accuracy: the share of problems whose greedy response ends in the right answer."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from aftune.prompts.prompter import Prompter
from aftune.records import Problem
from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.tasks import Task


def greedy_accuracy(
    model: PreTrainedModel,
    prompter: Prompter,
    task: Task,
    problems: Sequence[Problem],
    settings: SamplingSettings,
    batch_size: int,
) -> float:
    """Share of right greedy responses (strict reading), for use while training; nothing is written."""
    engine = TransformersEngine(model, prompter.tokenizer, batch_size)
    requests = [Request(prompter(problem), name=problem.id) for problem in problems]
    order = sorted(range(len(problems)), key=lambda index: -len(requests[index].prompt))
    num_right = 0
    for position, completion in engine.complete([requests[index] for index in order], settings):
        num_right += int(task.verdict(problems[order[position]], completion.text).quality)
    return num_right / len(problems)
