"""What ends a response: tokens, and texts that may begin and end inside tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from aftune.prompts.special_tokens import letters, special_tokens

_MARGIN = 8  # tokens beyond the most that a stop string needs (one per byte): the first of a text may lose its space
_INCOMPLETE = "\ufffd"  # what is decoded where some of a character's bytes are missing


class StopStrings:
    """Texts that end a response, which is cut before the first of them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, strings: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.strings = strings
        self._last = {text[-1] for text in strings}
        self._tail = max(len(text.encode()) for text in strings) + _MARGIN
        self._may_end: dict[int, bool] = {}

    def just_ended(self, ids: Sequence[int]) -> bool:
        """Whether the newest token completes a stop string. Only tokens that contain the last character of one are checked."""
        token = ids[-1]
        may_end = self._may_end.get(token)
        if may_end is None:
            # Twice, because the second one is inside a text, where it keeps the space that the first one may lose.
            text = self._decode([token, token])
            may_end = self._may_end[token] = _INCOMPLETE in text or not self._last.isdisjoint(text)
        return may_end and self._find(self._decode(ids[-self._tail :])) is not None

    def cut(self, ids: list[int]) -> tuple[list[int], str] | None:
        """Ids and text before the first stop string, or None where there is none.

        The ids are the first of `ids` where the text ends at the end of one of them, else those of the text by itself.
        """
        text = self._decode(ids)
        place = self._find(text)
        if place is None:
            return None
        text = text[:place]
        for number in range(len(ids) - 1, -1, -1):
            shorter = self._decode(ids[:number])
            if shorter == text:
                return ids[:number], text
            if len(shorter) < place:
                break
        return letters(self.tokenizer, text), text

    def _find(self, text: str) -> int | None:
        return min((place for place in map(text.find, self.strings) if place >= 0), default=None)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


@dataclass(frozen=True)
class Stops:
    """Stop tokens, and stop strings where there are any."""

    token_ids: frozenset[int]
    strings: StopStrings | None = None

    def just_ended(self, ids: Sequence[int]) -> bool:
        """Whether the newest token completes a stop string."""
        return self.strings is not None and self.strings.just_ended(ids)


def stops_of(tokenizer: PreTrainedTokenizerBase, token_ids: Iterable[int], strings: Sequence[str]) -> Stops:
    """Stop tokens and stop strings; a stop string that names a special token becomes a stop token."""
    if not strings:
        return Stops(frozenset(token_ids))
    control = special_tokens(tokenizer).by_text
    named = [control[text][0] for text in strings if text in control]
    texts = [text for text in strings if text not in control]
    return Stops(frozenset([*token_ids, *named]), StopStrings(tokenizer, texts) if texts else None)
