"""What every engine takes and gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aftune.prompts.formats import Messages


@dataclass(frozen=True)
class SamplingSettings:
    """temperature 0 is greedy decoding; top_p 1 and top_k 0 change nothing. max_new_tokens counts the stop token.

    stop: texts that end a response, which is cut before the first of them; the name of a special token means that token.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One requested completion: the prompt's token ids and the seed of its random stream (greedy decoding uses none).

    name: what errors call it. conversation: the prompt before it is tokenised, for engines that take a text or messages.
    """

    prompt: list[int]
    seed: int = 0
    name: str = "a prompt"
    conversation: str | Messages = ""


@dataclass(frozen=True)
class Completion:
    """A response: its ids without the stop token or stop string, its text, and whether it ended by itself (`stop`) or was cut
    (`length`). token_ids: None from an engine that gives only texts. told: what else the engine says of it: prompt_tokens and
    completion_tokens that it counted; logprob, the sum of the log-probabilities of logprob_tokens tokens, nats."""

    token_ids: list[int] | None
    text: str
    finish_reason: Literal["stop", "length"]
    told: dict[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """Turns requests into completions, about `batch_size` of them at a time.

    separate: whether a completion is worth keeping by itself, as one of a server is, which may have cost money; else only blocks
    are kept whose completions were computed together. needs_ids: whether a request's prompt has to be the model's tokens; else its
    conversation counts. origin: what is written beside each completion, such as the engine's version.
    """

    batch_size: int
    separate: bool
    needs_ids: bool
    origin: dict[str, Any]

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)`, each as soon as it is finished.

        The same prompt, seed and settings give the same completion, whatever other requests there are (up to rounding).
        Requests with the same prompt are cheapest next to each other. Raises DataError where the model's logits are not finite, and
        UnansweredError, after all others, for requests that a server did not answer.
        """
        ...
