"""What every engine takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class SamplingSettings:
    """temperature 0 is greedy decoding; top_p 1 and top_k 0 change nothing. max_new_tokens counts the stop token."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True)
class Completion:
    """A response: its ids without the stop token, its text, and whether it ended by itself (`stop`) or was cut (`length`)."""

    token_ids: list[int]
    text: str
    finish_reason: Literal["stop", "length"]


class Engine(Protocol):
    """Turns a batch of prompts into one completion each."""

    def complete(self, prompts: Sequence[list[int]], seeds: Sequence[int], settings: SamplingSettings) -> list[Completion]:
        """One completion a prompt (token ids), in order. The same prompt, seed and settings give the same completion."""
        ...
