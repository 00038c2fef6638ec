"""`align`: training on groups, with AFT's loss or another one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from transformers import PreTrainedTokenizerBase

from aftune.api.call import Call, CallContext, Model, PromptOfRecipe
from aftune.api.keys import AlignKeys, section_of, with_keys_of
from aftune.api.problem_tasks import TaskOfRecipe, records
from aftune.api.training import Trained, train
from aftune.pipeline.registry import needs_reference
from aftune.pipeline.stages.reference import reference
from aftune.pipeline.stages.train import align as align_stage
from aftune.recipe import AdapterSection, AlignSection, TrackSection
from aftune.records import Group, Problem, write_records

_WITHOUT = {"start": "training starts from the model that is given"}


@with_keys_of(AlignSection, _WITHOUT)
def align(
    model: Model,
    groups: Sequence[Group],
    output_dir: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    task: TaskOfRecipe | None = None,
    data: str | Path | None = None,
    prompt: PromptOfRecipe | None = None,
    examples: Sequence[Problem] = (),
    adapter: AdapterSection | Mapping[str, Any] | None = None,
    track: TrackSection | Mapping[str, Any] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    **keys: Unpack[AlignKeys],
) -> Trained:
    """Trains a model on groups as stage `align` of a run does (and `reference` before it, for losses that need one).

    model, tokenizer, task, data, prompt, examples: as for `sample`; a loaded model is trained in place, as transformers' Trainer
    does, and ends in the type that it is saved in. output_dir: a new folder for the model, `model`, and the log, `log.json`; with
    overwrite, those of an earlier call are replaced. adapter, track: the keys of these sections of a recipe. All other arguments
    are the keys of a recipe's section `align` and have its defaults.

    A call that was interrupted begins anew; `aftune run` continues. Raises UsageError for an argument that does not fit, DataError
    for groups that do not, TrainingError where training diverges.

    >>> from tempfile import TemporaryDirectory
    >>> from aftune import align, label, load_problems, sample
    >>> model = {"name": "bundled", "precision": "float32"}
    >>> problems = load_problems("arithmetic", "train[:8]")
    >>> groups = label(problems, sample(model, problems, num_candidates=2))
    >>> with TemporaryDirectory() as folder:
    ...     aligned = align(model, groups, folder, beta=0.7, num_epochs=1, batch_size=4)
    ...     (aligned.path / "model.safetensors").is_file()
    True
    >>> aligned.summary
    {'optimizer_steps': 2, 'epochs': 1.0}
    """
    groups = records("align", "groups", groups, Group)
    sections = {
        "align": section_of(AlignSection, keys, "align", without=_WITHOUT),
        "adapter": None if adapter is None else section_of(AdapterSection, dict(adapter), "align", "adapter."),
        "track": None if track is None else section_of(TrackSection, dict(track), "align", "track."),
    }

    def stages(context: CallContext) -> dict[str, Any]:
        write_records(context.run.folder("label") / "groups.jsonl", groups)
        if needs_reference(context.recipe):
            reference(context)
        return align_stage(context)

    call = Call("align", model, [group.problem for group in groups], tokenizer, task, data, prompt, examples, seed)
    return train(call, stages, output_dir, overwrite=overwrite, **sections)
