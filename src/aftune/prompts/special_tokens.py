"""Special tokens (`</s>`, `<|im_start|>`) are put in by templates and tokenizers; the same letters in a text stay letters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

_PRIVATE = range(0xE000, 0xF900)  # characters without meaning


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens of a tokenizer: `by_text` has the id and definition of each."""

    tokenizer: PreTrainedTokenizerBase
    by_text: dict[str, tuple[int, Any]]
    pattern: re.Pattern[str]

    def first_in(self, text: str) -> int | None:
        """The id of the first special token in a text; None where there is none."""
        found = self.pattern.search(text)
        return self.by_text[found[0]][0] if found else None

    def choose_mark(self, texts: Sequence[str]) -> str:
        """A character that is in none of the texts; empty where nothing in them reads like a special token."""
        if not any(self.pattern.search(text) for text in texts):
            return ""
        used = set().union(*texts)
        return next(chr(code) for code in _PRIVATE if chr(code) not in used)

    def mark(self, text: str, mark: str) -> str:
        """The text with the mark inside whatever reads like a special token."""
        return re.sub(f"(?={self.pattern.pattern})(.)", rf"\1{mark}", text, flags=re.DOTALL)

    def encode(self, text: str, mark: str) -> list[int]:
        """Ids of a text into which marked texts were put: unmarked special tokens become their ids, marked ones letters."""
        ids: list[int] = []
        start = 0
        for found in self.pattern.finditer(text):
            number, token = self.by_text[found[0]]
            before = text[start : found.start()]
            ids += self._letters(before.rstrip() if token.lstrip else before, mark)
            ids.append(number)
            start = found.end()
            if token.rstrip:
                start += len(text[start:]) - len(text[start:].lstrip())
        return ids + self._letters(text[start:], mark)

    def _letters(self, text: str, mark: str) -> list[int]:
        text = text.replace(mark, "")
        return letters(self.tokenizer, text) if text else []


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """The tokens that the tokenizer treats as special."""
    added = {number: token for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    by_text = {token.content: (number, token) for number, token in added.items()}
    longest_first = sorted(by_text, key=lambda text: -len(text))
    pattern = re.compile("(?:" + "|".join(map(re.escape, longest_first)) + ")" if by_text else r"(?!)")
    return SpecialTokens(tokenizer, by_text, pattern)


def letters(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of a text by itself, in which nothing is a special token."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
