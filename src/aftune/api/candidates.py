"""`sample`: candidates for problems."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, Unpack, get_args

from transformers import PreTrainedTokenizerBase

from aftune.api.call import Call, Model, PromptOfRecipe
from aftune.api.keys import SampleKeys, section_of, with_keys_of
from aftune.api.problem_tasks import TaskOfRecipe
from aftune.common.errors import UsageError
from aftune.pipeline.stages.sample import drawn, used
from aftune.recipe import SampleSection
from aftune.records import Candidate, Problem

Purpose: TypeAlias = Literal["sample", "evaluate"]


@with_keys_of(SampleSection)
def sample(
    model: Model,
    problems: Sequence[Problem],
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    task: TaskOfRecipe | None = None,
    data: str | Path | None = None,
    prompt: PromptOfRecipe | None = None,
    examples: Sequence[Problem] = (),
    seed: int = 0,
    purpose: Purpose = "sample",
    **keys: Unpack[SampleKeys],
) -> list[Candidate]:
    """Candidates for each problem, in the order of the problems, as stage `sample` of a run draws them.

    model: `bundled`, a folder, a name on the Hub, the keys of a recipe's section `model` as a dictionary, or a loaded model of
    transformers with its `tokenizer`, which is used where it is, in its precision. task, data: of the problems, by default aftune's
    task of that name. prompt: the keys of section `prompt`; examples: what `few_shot` shows. purpose: whose random numbers: those
    of stage `sample`, or of `evaluate`, for candidates on which models are assessed. All other arguments are the keys of a recipe's
    section `sample` and have its defaults.

    Raises UsageError for an argument that does not fit, DataError for a problem that does not fit the model's context.

    >>> from aftune import load_problems, sample
    >>> problems = load_problems("arithmetic", "train[:4]")
    >>> candidates = sample({"name": "bundled", "precision": "float32"}, problems, num_candidates=2, temperature=0.7)
    >>> len(candidates)
    8
    >>> candidates[1].problem_id, candidates[1].index, candidates[1].finish_reason
    ('arithmetic/train/0', 1, 'stop')
    """
    if purpose not in get_args(Purpose):
        raise UsageError(f"sample: purpose is {purpose!r}, expected {' or '.join(get_args(Purpose))}")
    section = section_of(SampleSection, keys, "sample")
    call = Call("sample", model, problems, tokenizer, task, data, prompt, examples, seed)
    with call.context(sample=section) as context:
        candidates = drawn(context, context.given, context.run.folder("sample") / "candidates.jsonl", purpose)
        used(candidates, section)
    return candidates
