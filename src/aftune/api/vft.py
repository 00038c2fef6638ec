"""`sft`: vanilla fine-tuning on the references of problems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from transformers import PreTrainedTokenizerBase

from aftune.api.call import Call, Model, PromptOfRecipe
from aftune.api.keys import SftKeys, section_of, with_keys_of
from aftune.api.problem_tasks import TaskOfRecipe, checked
from aftune.api.training import Trained, train
from aftune.pipeline.stages.train import sft as sft_stage
from aftune.recipe import AdapterSection, EvaluateSection, SftSection, TrackSection
from aftune.records import Problem


@with_keys_of(SftSection)
def sft(
    model: Model,
    problems: Sequence[Problem],
    output_dir: str | Path,
    *,
    validation: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase | None = None,
    task: TaskOfRecipe | None = None,
    data: str | Path | None = None,
    prompt: PromptOfRecipe | None = None,
    examples: Sequence[Problem] = (),
    adapter: AdapterSection | Mapping[str, Any] | None = None,
    evaluate: EvaluateSection | Mapping[str, Any] | None = None,
    track: TrackSection | Mapping[str, Any] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    **keys: Unpack[SftKeys],
) -> Trained:
    """Vanilla fine-tuning (VFT) on the references of problems, as stage `sft` of a run does it: the epoch with the best accuracy on
    `validation` is kept.

    evaluate: the keys of section `evaluate` (max_new_tokens, batch_size, stop) for that accuracy. All other arguments are as for
    `align`, or the keys of a recipe's section `sft` with its defaults. Raises what `align` raises.

    >>> from tempfile import TemporaryDirectory
    >>> from aftune import load_problems, sft
    >>> problems, validation = load_problems("arithmetic", "train[:8]"), load_problems("arithmetic", "validation[:2]")
    >>> with TemporaryDirectory() as folder:
    ...     vft = sft("bundled", problems, folder, validation=validation, num_epochs=1, batch_size=4)
    >>> vft.summary["optimizer_steps"], vft.summary["best_epoch"]
    (2, 1)
    """
    sections = {
        "sft": section_of(SftSection, keys, "sft"),
        "adapter": None if adapter is None else section_of(AdapterSection, dict(adapter), "sft", "adapter."),
        "evaluate": None if evaluate is None else section_of(EvaluateSection, dict(evaluate), "sft", "evaluate."),
        "track": None if track is None else section_of(TrackSection, dict(track), "sft", "track."),
    }
    call = Call("sft", model, problems, tokenizer, task, data, prompt, examples, seed, checked("sft", "validation", validation))
    return train(call, sft_stage, output_dir, overwrite=overwrite, **sections)
