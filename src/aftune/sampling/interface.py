"""What every engine takes and gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from transformers import PreTrainedTokenizerBase


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

    name: what errors call it.
    """

    prompt: list[int]
    seed: int = 0
    name: str = "a prompt"


@dataclass(frozen=True)
class Completion:
    """A response: its ids without the stop token or stop string, its text, and whether it ended by itself (`stop`) or was cut
    (`length`)."""

    token_ids: list[int]
    text: str
    finish_reason: Literal["stop", "length"]


class Engine(Protocol):
    """Turns requests into completions, about `batch_size` of them at a time."""

    tokenizer: PreTrainedTokenizerBase
    batch_size: int

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)`, each as soon as it is finished.

        The same prompt, seed and settings give the same completion, whatever other requests there are (up to rounding).
        Requests with the same prompt are cheapest next to each other. Raises DataError where the model's logits are not finite.
        """
        ...
