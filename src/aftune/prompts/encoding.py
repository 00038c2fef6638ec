"""From texts to token ids: the one place where prompts and responses are tokenised and joined.

Prompt and response are tokenised separately and joined as ids, so that the boundary between them never depends on the text.
A complete response ends in one end-of-sequence token, a truncated one in none. Only the tokenizer and a template put special
tokens in: `</s>` in a question or a response is four characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from aftune.common.errors import DataError, UsageError
from aftune.prompts.special_tokens import letters
from aftune.records import BEST_RANK, Candidate, Group, Problem


@dataclass(frozen=True)
class EncodedGroup:
    """A prompt with its responses as token ids.

    `in_sft[i]`: response i belongs to the VFT loss. `qualities[i]` is None for a response outside the alignment loss.
    reference_logprobs: summed log-probabilities of the responses under a frozen reference policy, nats. indices: the index of
    the candidate that each response is; None for the reference. Only a group that a caller has tokenised may lack them.
    """

    problem_id: str
    prompt_ids: list[int]
    response_ids: list[list[int]]
    in_sft: list[bool]
    qualities: list[float | None]
    reference_logprobs: list[float] | None = None
    indices: list[int | None] | None = None

    @property
    def num_tokens(self) -> int:
        """Tokens of prompt and responses, the prompt counted once."""
        return len(self.prompt_ids) + sum(map(len, self.response_ids))

    @property
    def num_trained_tokens(self) -> int:
        """As `num_tokens`, but only of what a loss can use: without pairs, the responses of the VFT loss."""
        if len({quality for quality in self.qualities if quality is not None}) > 1:
            return self.num_tokens
        return len(self.prompt_ids) + sum(len(ids) for ids, used in zip(self.response_ids, self.in_sft, strict=True) if used)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, *, add_special_tokens: bool = True) -> list[int]:
    """A prompt's ids. The beginning-of-sequence token that the tokenizer adds is there once, an end-of-sequence token that it adds
    is removed.

    Special tokens in the text are taken as such: a text from elsewhere goes through a `Prompter`.
    """
    ids = list(tokenizer(prompt, add_special_tokens=add_special_tokens)["input_ids"])
    if not add_special_tokens:
        return ids
    if ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return single_start(tokenizer, ids)


def single_start(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    """The ids with one beginning-of-sequence token at the start: a template may begin with the one that the tokenizer adds too."""
    doubled = tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2
    return ids[1:] if doubled else ids


def encode_response(
    tokenizer: PreTrainedTokenizerBase, text: str, *, complete: bool = True, end_id: int | None = None
) -> list[int]:
    """A response's ids; a complete one ends in `end_id`, or by default in the tokenizer's end-of-sequence token."""
    return _ended(tokenizer, letters(tokenizer, text), complete, end_id)


def encode_candidate(tokenizer: PreTrainedTokenizerBase, candidate: Candidate, *, end_id: int | None = None) -> list[int]:
    """A candidate's ids: those that the engine made where they are known, else those of its text."""
    ids = letters(tokenizer, candidate.text) if candidate.token_ids is None else candidate.token_ids
    return _ended(tokenizer, ids, candidate.finish_reason == "stop", end_id)


def _ended(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], complete: bool, end_id: int | None) -> list[int]:
    return [*ids, tokenizer.eos_token_id if end_id is None else end_id] if complete else list(ids)


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str | Sequence[int]) -> list[int]:
    return encode_prompt(tokenizer, prompt) if isinstance(prompt, str) else list(prompt)


@dataclass(frozen=True)
class Roles:
    """What the responses of a group are used for.

    reference_is_candidate: the reference has the best quality of the group (at least 1) in the alignment loss, unless a candidate
    with the same text is there already. imitated: places in `group.candidates` of those that join the VFT loss (RFT).
    use_ranks: the group's ranks are used as qualities, and the reference ranks at least as high as a right response: it ties with
    the best.
    """

    reference_is_candidate: bool = False
    imitated: Sequence[int] = ()
    use_ranks: bool = False


def encode_group(
    tokenizer: PreTrainedTokenizerBase,
    group: Group,
    prompt: str | Sequence[int],
    *,
    reference: str | None,
    roles: Roles = Roles(),
    end_id: int | None = None,
) -> EncodedGroup:
    """A group with its reference response first. prompt: its text or its ids; end_id: as in `encode_response`.

    Raises DataError for an empty response or a missing rank, UsageError for a place that has no candidate.
    """
    responses = [encode_candidate(tokenizer, candidate, end_id=end_id) for candidate in group.candidates]
    values = group.ranks if roles.use_ranks else group.qualities
    qualities: list[float | None] = list(values)
    in_sft = [False] * len(responses)
    for place in roles.imitated:
        if not 0 <= place < len(responses):
            raise UsageError(f"{group.problem.id}: imitated has {place}, expected 0 <= place < {len(responses)}")
        in_sft[place] = True
    if reference is not None:
        reference_ids = encode_response(tokenizer, reference, end_id=end_id)
        joins = roles.reference_is_candidate and reference_ids not in responses
        best = max([BEST_RANK if roles.use_ranks else 1.0, *values])
        responses, qualities, in_sft = [reference_ids, *responses], [best if joins else None, *qualities], [True, *in_sft]
    for index, ids in enumerate(responses):
        if not ids:
            raise DataError(f"{group.problem.id}: response {index} is empty; label the candidates again to leave it out")
    indices = response_indices(group, reference)
    return EncodedGroup(group.problem.id, _prompt_ids(tokenizer, prompt), responses, in_sft, qualities, indices=indices)


def response_indices(group: Group, reference: str | None) -> list[int | None]:
    """The index of each response in an encoded group: None for the reference, where it has one, then the candidates' indices."""
    return [*([] if reference is None else [None]), *(candidate.index for candidate in group.candidates)]


def check_lengths(group: EncodedGroup, context: int) -> None:
    """Raises DataError for a group without any response, and when a prompt with its longest response exceeds the context."""
    if not group.response_ids:
        raise DataError(f"{group.problem_id}: there is neither a reference nor a candidate to train on; leave the group out")
    length = len(group.prompt_ids) + max((len(ids) for ids in group.response_ids), default=0)
    if length > context:
        raise DataError(
            f"{group.problem_id}: prompt and response have {length:,} tokens, the model's context is {context:,}; "
            "remove the problem, set task.skip_too_long=true, or use a model with a longer context"
        )


def too_long(
    tokenizer: PreTrainedTokenizerBase, problem: Problem, prompt: str | Sequence[int], reference: str | None, context: int
) -> str | None:
    """Why a problem does not fit the context, or None: its prompt leaves room for a token, and its reference fits whole."""
    num_prompt = len(_prompt_ids(tokenizer, prompt))
    if num_prompt >= context:
        return f"{problem.id}: the question has {num_prompt:,} tokens, the model's context is {context:,}"
    num_reference = len(encode_response(tokenizer, reference)) if reference else 0
    if num_prompt + num_reference > context:
        return (
            f"{problem.id}: question and reference have {num_prompt + num_reference:,} tokens, the model's context is {context:,}"
        )
    return None
