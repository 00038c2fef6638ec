"""Stage `reference`: the groups' log-probabilities under the model that training starts from, for DPO, losses like it, and the
automatic beta."""

import torch

from aftune.common.progress import progress_bar
from aftune.pipeline import processes
from aftune.pipeline.context import Context, Summary
from aftune.prompts.encoding import encode_group, response_indices
from aftune.records import Group, GroupLogprobs, write_records
from aftune.records.large_files import RecordFile
from aftune.scoring import ScoredGroup, group_logprobs


def reference(context: Context) -> Summary:
    """Writes `logprobs.jsonl`, a line for each group, computed in the precision of training; each number comes with the index of
    its candidate, since `align` may train on only some of them."""
    groups = RecordFile(context.folder("label") / "groups.jsonl", Group)
    scored = processes.everywhere(_scored, context, groups)
    write_records(
        context.folder("reference") / "logprobs.jsonl",
        (
            GroupLogprobs(
                problem_id=group.problem.id,
                sums=item.sums,
                lengths=item.lengths,
                indices=response_indices(group, context.task.reference_response(group.problem)),
            )
            for group, item in zip(groups, scored, strict=True)
        ),
    )
    return {"groups": len(groups)}


def _scored(context: Context, groups: RecordFile[Group]) -> list[ScoredGroup]:
    """All groups; processes share the work."""
    recipe, own = context.recipe, processes.own(groups)
    model = context.load_trainable(context.start).eval()
    encoded = (
        encode_group(
            context.tokenizer,
            group,
            context.prompter(group.problem),
            reference=context.task.reference_response(group.problem),
            end_id=context.end_id,
        )
        for group in own
    )
    half = recipe.model.precision == "bfloat16"
    with progress_bar("reference", len(own), "groups") as update, torch.autocast(model.device.type, torch.bfloat16, enabled=half):
        return processes.gather(group_logprobs(model, encoded, token_budget=recipe.align.token_budget, on_progress=update))
