"""Which number of a sentence is its answer where nothing states one: "There are 12 stamps on 6 sheets"."""

import re
from collections.abc import Sequence

from aftune.answers.number_values import Token

# After a number: it describes what is counted ("6 12-inch pizzas", "100 5th graders").
DESCRIBES = re.compile(r"-[A-Za-z]|(?:st|nd|rd|th)\b", re.IGNORECASE)

_ASKED_FOR = ("total", "sum", "cost", "price", "amount", "average", "profit", "value", "result", "number", "maximum", "minimum")
_ENDS_UP = ("left", "up", "start", "started", "begin", "began", "ended")
_NOT_AFTER = "".join(f"(?<!{word} )" for word in (*_ASKED_FOR, "distance", "answer"))
_NOT_LEFT = "".join(f"(?<!{word} )" for word in _ENDS_UP)
_PREPOSITION = (
    rf"(?:{_NOT_AFTER}of|{_NOT_LEFT}with|on|in|for|per|from|at|after|before|than|over|under|within|during|every|each|among|between|"
    r"until|across|step|part|case|d'ici|dans|pour|par)"
)
_DETERMINER = (
    r"(?:the|a|an|all(?<!in all)|her|his|their|its|your|my|our|those|these|only|about|just|another|first|last|next|remaining|other|"
    r"same)"
)
_CIRCUMSTANCE = re.compile(rf"(?<![A-Za-z]){_PREPOSITION}\s+(?:{_DETERMINER}\s+)*(?:age\s+)?$", re.IGNORECASE)
_DURATION = re.compile(r"\s*(?:second|minute|hour|day|week|month|year)s?\b", re.IGNORECASE)
_OF_ONE_CLAUSE = r"(?:(?!\b(?:so|and|which|that|means|would|will|left|was|were|is|are|if|then)\b)[^,;:])*"
_PURPOSE = re.compile(rf"^{_OF_ONE_CLAUSE}?\bto\s+(?!be\b|get\b|make\b){_OF_ONE_CLAUSE}$", re.IGNORECASE)


def answer_of(tokens: Sequence[Token], sentence: str) -> Token:
    """The last number of a sentence that is not one of its circumstances; the last one where all of them are, or where the
    sentence calculates."""
    if len(tokens) == 1 or any(token.operator or token.number is None for token in tokens):
        return tokens[-1]
    free = [token for token in tokens if not _is_circumstance(token, sentence)]
    kept = free[:1]
    for token in free[1:]:
        if not _PURPOSE.search(sentence[kept[-1].end : token.start]) and not DESCRIBES.match(sentence, token.end):
            kept.append(token)
    return kept[-1] if kept else tokens[-1]


def _is_circumstance(token: Token, sentence: str) -> bool:
    before = _CIRCUMSTANCE.search(sentence[max(0, token.start - 60) : token.start])
    # "in 3 hours" may be the answer as well as one of the circumstances
    return before is not None and not (before.group().lower().startswith("in ") and _DURATION.match(sentence, token.end))
