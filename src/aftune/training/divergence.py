"""Training ends at the first step that is not finite; its groups are kept."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from aftune.records import Record, write_records
from aftune.scoring import Batch


class KeptGroup(Record):
    """A group of the batch that a step failed on, as the model sees it; qualities: None outside the alignment loss."""

    problem_id: str
    prompt: str
    responses: list[str]
    qualities: list[float | None]
    in_sft: list[bool]


def keep_batches(path: Path, batches: Sequence[Batch], tokenizer: PreTrainedTokenizerBase) -> None:
    """Writes the groups of a step, one per line."""
    write_records(
        path,
        (
            KeptGroup(
                problem_id=group.problem_id,
                prompt=tokenizer.decode(group.prompt_ids),
                responses=[tokenizer.decode(ids) for ids in group.response_ids],
                qualities=list(group.qualities),
                in_sft=list(group.in_sft),
            )
            for batch in batches
            for group in batch["groups"]
        ),
    )
