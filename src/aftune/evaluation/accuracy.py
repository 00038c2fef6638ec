"""Task accuracy: the share of problems whose greedy response ends in the right answer."""

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftune.encoding import encode_prompt
from aftune.records import Problem
from aftune.sampling import SamplingSettings, TransformersEngine
from aftune.tasks import Task


def greedy_accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    problems: Sequence[Problem],
    settings: SamplingSettings,
    batch_size: int,
) -> float:
    """Share of right greedy responses (strict reading), for use while training; nothing is written."""
    engine = TransformersEngine(model, tokenizer)
    encoded = [(encode_prompt(tokenizer, task.prompt(problem)), problem) for problem in problems]
    encoded.sort(key=lambda pair: -len(pair[0]))
    num_right = 0
    for start in range(0, len(encoded), batch_size):
        batch = encoded[start : start + batch_size]
        completions = engine.complete([prompt for prompt, _ in batch], [0] * len(batch), settings)
        num_right += sum(int(task.verdict(problem, c.text).quality) for (_, problem), c in zip(batch, completions, strict=True))
    return num_right / len(problems)
