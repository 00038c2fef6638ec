"""What docs/trouble.md quotes is what aftune says."""

import ast
import re

from code_blocks import ROOT

_SHORT = 8  # letters: a text with fewer would be found anywhere


def said() -> tuple[list[list[str]], set[str]]:
    """The texts of the package, as the pieces between the values that are filled in, and those that are short, such as `to`."""
    texts, words = [], set()
    for path in sorted((ROOT / "src" / "aftune").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append([str(part.value) for part in node.values if isinstance(part, ast.Constant)])
                words.add("".join(texts[-1]).strip())
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append([node.value])
                words.add(node.value)
    return [text for text in texts if sum(map(len, text)) >= _SHORT], words


def unsaid(quote: str, texts: list[list[str]], words: set[str]) -> list[str]:
    """The words of a quote that are neither in a text whose pieces it has in their order, nor a word that may be filled in."""
    covered = [False] * len(quote)
    for pieces in texts:
        place, spans = 0, []
        for piece in pieces:
            begin = quote.find(piece.strip(), place)
            if begin < 0:
                break
            place = begin + len(piece.strip())
            spans.append((begin, place))
        else:
            for begin, end in spans:
                covered[begin:end] = [True] * (end - begin)
    found = re.finditer(r"[A-Za-z_]{2,}", quote)
    return [word[0] for word in found if not all(covered[word.start() : word.end()]) and word[0] not in words]


def test_quotes_are_the_packages_own_words() -> None:
    texts, words = said()
    quotes = re.findall(r"^(?:- )?> (.+)$", (ROOT / "docs" / "trouble.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    wrong = {quote: missing for quote in quotes if (missing := unsaid(quote, texts, words))}
    assert not wrong, wrong
    assert len(quotes) > 20


def test_a_changed_word_is_found() -> None:
    texts, words = [["It is ", " GiB, which is too much"], ["Lower it."]], {"sample"}
    assert unsaid("It is … GiB, which is too much Lower it. sample", texts, words) == []
    assert unsaid("It is … MiB, which is too much Lower it.", texts, words) == ["It", "is", "MiB", "which", "is", "too", "much"]
