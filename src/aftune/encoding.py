"""From texts to token ids: the one place where prompts and responses are tokenised and joined.

Prompt and response are tokenised apart and joined as ids, so that the boundary between them never depends on the text.
A complete response ends in one end-of-sequence token, a truncated one in none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from aftune.errors import DataError, UsageError
from aftune.records import BEST_RANK, Candidate, Group, Problem


@dataclass(frozen=True)
class EncodedGroup:
    """A prompt with its responses as token ids.

    `in_sft[i]`: response i belongs to the VFT loss. `qualities[i]` is None for a response outside the alignment loss.
    reference_logprobs: summed log-probabilities of the responses under a frozen reference policy, nats.
    """

    problem_id: str
    prompt_ids: list[int]
    response_ids: list[list[int]]
    in_sft: list[bool]
    qualities: list[float | None]
    reference_logprobs: list[float] | None = None

    @property
    def num_tokens(self) -> int:
        """With the prompt counted once."""
        return len(self.prompt_ids) + sum(map(len, self.response_ids))

    @property
    def num_trained_tokens(self) -> int:
        """As `num_tokens`, of what a loss can use: without pairs only the responses of the VFT loss."""
        if len({quality for quality in self.qualities if quality is not None}) > 1:
            return self.num_tokens
        return len(self.prompt_ids) + sum(len(ids) for ids, used in zip(self.response_ids, self.in_sft, strict=True) if used)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """A prompt's ids, with the beginning-of-sequence token that the tokenizer itself adds and no end-of-sequence token."""
    ids = list(tokenizer(prompt)["input_ids"])
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def encode_response(tokenizer: PreTrainedTokenizerBase, text: str, *, complete: bool = True) -> list[int]:
    """A response's ids, ended by the end-of-sequence token where it is complete."""
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return [*ids, tokenizer.eos_token_id] if complete else ids


def encode_candidate(tokenizer: PreTrainedTokenizerBase, candidate: Candidate) -> list[int]:
    """The ids that the engine made where they are known, else those of the text."""
    complete = candidate.finish_reason == "stop"
    if candidate.token_ids is None:
        return encode_response(tokenizer, candidate.text, complete=complete)
    return [*candidate.token_ids, tokenizer.eos_token_id] if complete else list(candidate.token_ids)


def encode_group(
    tokenizer: PreTrainedTokenizerBase,
    group: Group,
    prompt: str,
    *,
    reference: str | None,
    reference_is_candidate: bool = False,
    sft_positives: Sequence[int] = (),
    use_ranks: bool = False,
) -> EncodedGroup:
    """A group with its reference response first.

    With `reference_is_candidate` the reference has the best quality of the group (at least 1) in the alignment loss,
    unless a candidate of the same text is there already. sft_positives: places in `group.candidates` of those that join the
    VFT loss (RFT). With `use_ranks` the group's ranks stand for its qualities, and the reference has at least the rank of a
    right response: it ties with the best. Raises DataError for an empty response and for a rank that is missing,
    UsageError for a place where there is no candidate.
    """
    responses = [encode_candidate(tokenizer, candidate) for candidate in group.candidates]
    values = group.ranks if use_ranks else group.qualities
    qualities: list[float | None] = list(values)
    in_sft = [False] * len(responses)
    for place in sft_positives:
        if not 0 <= place < len(responses):
            raise UsageError(f"{group.problem.id}: sft_positives has {place}, expected a place among {len(responses)} candidates")
        in_sft[place] = True
    if reference is not None:
        reference_ids = encode_response(tokenizer, reference)
        joins = reference_is_candidate and reference_ids not in responses
        best = max([BEST_RANK if use_ranks else 1.0, *values])
        responses, qualities, in_sft = [reference_ids, *responses], [best if joins else None, *qualities], [True, *in_sft]
    for index, ids in enumerate(responses):
        if not ids:
            raise DataError(f"{group.problem.id}: response {index} is empty; label the candidates again to leave it out")
    return EncodedGroup(group.problem.id, encode_prompt(tokenizer, prompt), responses, in_sft, qualities)


def check_lengths(group: EncodedGroup, context: int) -> None:
    """Raises DataError for a group without any response, and when a prompt with its longest response exceeds the context."""
    if not group.response_ids:
        raise DataError(f"{group.problem_id}: there is neither a reference nor a candidate to train on; leave the group out")
    length = len(group.prompt_ids) + max((len(ids) for ids in group.response_ids), default=0)
    if length > context:
        raise DataError(
            f"{group.problem_id}: prompt and response are {length:,} tokens, the model's context is {context:,}; "
            "remove the problem, set task.skip_too_long=true, or use a model with a longer context"
        )


def too_long(tokenizer: PreTrainedTokenizerBase, problem: Problem, prompt: str, reference: str | None, context: int) -> str | None:
    """Why a problem does not fit the context, or None: a prompt leaves room for a token, a reference fits whole."""
    num_prompt = len(encode_prompt(tokenizer, prompt))
    if num_prompt >= context:
        return f"{problem.id}: the question is {num_prompt:,} tokens, the model's context is {context:,}"
    num_reference = len(encode_response(tokenizer, reference)) if reference else 0
    if num_prompt + num_reference > context:
        return f"{problem.id}: question and reference are {num_prompt + num_reference:,} tokens, the model's context is {context:,}"
    return None
