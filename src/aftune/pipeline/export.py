"""`aftune export`: what a run or a file of groups holds, in the form of another program."""

from collections.abc import Sequence
from pathlib import Path

from aftune.common.errors import StageError, UsageError
from aftune.interchange.exporters import TARGETS, Ask, export_groups, samples
from aftune.interchange.importers import import_groups
from aftune.pipeline.context import context_of
from aftune.pipeline.local_models import LOCAL
from aftune.pipeline.model_folder import FORMS, write_model_folder
from aftune.pipeline.registry import in_round, policies
from aftune.prompts.formats import plain_prompt
from aftune.records import Group, JudgedResponse
from aftune.records.large_files import RecordFile


def export(
    source: Path, target: str, out: Path, *, pairs: str = "all", ranks: bool = False, model: str = "aligned", form: str = "groups"
) -> dict[str, int]:
    """Writes the groups of a file or of a run's stage `label` (of its last round), as `samples` the verdicts on the responses of a
    run's model, or the model itself: as `merged` or `adapter`, or for the program `gguf` (llama.cpp) or `ollama`.

    form: `groups`, or another format of a file that holds groups (`voted_explanations`).
    Raises UsageError for a target that the source cannot give, StageError where the run has not got that far.
    """
    source, out = source.expanduser(), out.expanduser()
    models = (*FORMS, *LOCAL)
    if target not in (*TARGETS, *models):
        hub = f"; to the Hub: aftune push {source} OWNER/NAME"
        raise UsageError(f"--to is {target!r}, expected one of {', '.join((*TARGETS, *models))}{hub}")
    if not source.is_dir():
        if target in ("samples", *models):
            raise UsageError(f"--to {target} needs a run directory, and {source} is not one")
        groups: Sequence[Group] = RecordFile(source, Group) if form == "groups" else import_groups(form, source)
        return export_groups(target, groups, plain_prompt, out, pairs=pairs, use_ranks=ranks)
    context = context_of(source)
    if target in FORMS:
        return {"files": write_model_folder(context, target, out, model)}
    if target in LOCAL:
        return LOCAL[target](context, out, model)
    ask: Ask = context.prompter.conversation
    if target == "samples":
        known = policies(context.recipe)
        if model not in known:
            raise UsageError(f"--model is {model!r}, expected one of {', '.join(known)}")
        verdicts = RecordFile(_existing(source / "evaluate" / model / "verdicts.jsonl", "evaluate"), JudgedResponse)
        return samples.write(out, context.problems("test"), verdicts, ask)
    label = in_round("label", context.recipe.rounds)
    groups = RecordFile(_existing(source / label / "groups.jsonl", label), Group)
    return export_groups(target, groups, ask, out, pairs=pairs, use_ranks=ranks)


def _existing(path: Path, stage: str) -> Path:
    if not path.exists():
        raise StageError(f"{path}: not there yet; run the stage {stage} first")
    return path
