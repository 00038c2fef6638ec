"""The outer structure of an expression (a list, a tuple, a set, a matrix, a relation), and equality element by element.

Expressions are texts in one spelling (`spelling.normal`). Comparing the elements is left to a function that takes two of them and
gives True, False or None for "not known".
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Atom = Callable[[str, str], bool | None]

MAX_ITEMS = 30
_OPEN, _CLOSE = "([{", ")]}"
_MATRIX = re.compile(
    r"^[(\[|]?\s*\\begin\{(?P<kind>[pbBvV]?matrix|smallmatrix|array|cases|aligned|align\*?)\}(?:\{[lcr| ]*\})?(?P<body>.*)"
    r"\\end\{(?P=kind)\}\s*[)\]|]?$",
    re.DOTALL,
)
_NAME = (
    r"(?:\\?[A-Za-z]|\\[a-z]+|[A-Z]{1,4}|[A-Za-z]?[a-z]{3,}|\\(?:vec|overline|overrightarrow|bar|hat)\s*\{?[A-Za-z]{1,3}\}?)"
    r"(?:_\{?\w{1,6}\}?)?'*"
)
_FUNCTION = rf"{_NAME}(?:\^\{{?-1\}}?)?\s*\([^()=]{{0,20}}\)"
_NAMED = re.compile(
    rf"^\s*(?:{_FUNCTION}|(?:m\s*)?\\angle\s*[A-Z]{{1,3}}|\\triangle\s*[A-Z]{{3}}|\|[A-Z]{{1,2}}\||{_NAME}(?:\s*[:/]\s*{_NAME})?"
    rf"|\\frac\{{\s*[A-Z]{{1,3}}\s*\}}\{{\s*[A-Z]{{1,3}}\s*\}}|\((?:\s*{_NAME}\s*,)+\s*{_NAME}\s*\)"
    r"|(?:[A-Za-z]+ ){1,4}[A-Za-z]+)\s*$"
)
_OF_Y = re.compile(r"^\s*(?:y|[A-Za-z](?:_\{?\w\}?)?\s*\([^()=]{1,20}\))\s*$")
_RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|equiv|sim)(?![A-Za-z])|<|>|=")
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}
_CONDITION = re.compile(r"(?:,\s*|\s+)(?:where|for|with|if|when)\b.*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Structure:
    """`kind`: "list", "set", "matrix", "union", or the brackets of a tuple or interval. `items`: its elements, those of a
    matrix row by row. `width`: of a matrix."""

    kind: str
    items: tuple[str, ...]
    width: int = 0


def split(text: str, separators: str) -> list[str]:
    """The parts between separators that are not in brackets."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character in separators and depth <= 0:
            parts.append(text[start:index].strip())
            start = index + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def structure(text: str) -> Structure | None:
    """The structure of a text; None for a single expression."""
    text = text.strip()
    matrix = _MATRIX.match(text)
    if matrix:
        rows = [row for row in (part.strip() for part in matrix["body"].split("\\cr ")) if row]
        cells = [[cell.strip() for cell in row.split("&")] for row in rows]
        if not cells or len({len(row) for row in cells}) != 1:
            return None
        kind = matrix["kind"] if matrix["kind"] in ("cases", "vmatrix", "Vmatrix") else "matrix"
        return Structure(kind, tuple(cell for row in cells for cell in row), len(cells[0]))
    union = [part.strip() for part in text.split("\\cup")]
    if len(union) > 1:
        return Structure("union", tuple(union))
    for separator in (";", ","):
        parts = split(text, separator)
        if len(parts) > 1:
            return Structure("list", tuple(_expanded(parts)))
    inside = _inside(text)
    if inside is not None and text.startswith(("\\{", "{")):
        return Structure("set", tuple(_expanded(split(inside, ",;"))))
    if inside is not None and len(parts := split(inside, ",;")) > 1:
        return Structure(text[0] + text[-1], tuple(parts))
    if "\\pm" in text and len(parts := _expanded([text])) > 1:
        return Structure("list", tuple(parts))
    return None


def _inside(text: str) -> str | None:
    """What is in the brackets around a whole text; None where there are none, or where the first one closes before the end."""
    start, end = (2, -2) if text.startswith("\\{") and text.endswith("\\}") else (1, -1)
    if len(text) < 2 or text[start - 1] not in _OPEN or text[-1] not in _CLOSE:
        return None
    depth = 0
    for index, character in enumerate(text[start - 1 :], start - 1):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0 and index < len(text) - 1:
            return None
    return text[start:end].strip()


def _expanded(parts: Sequence[str]) -> list[str]:
    """The parts; one with `\\pm` becomes two."""
    expanded: list[str] = []
    for part in parts:
        both = part.count("\\pm") == 1
        expanded += [re.sub(r"\\pm\s*", sign, part) for sign in ("+", "-")] if both else [part]
    return [re.sub(r"^\s*\+", "", part) for part in expanded]


def relation(text: str) -> tuple[list[str], list[str]]:
    """The sides and the signs of the relations that are not in brackets."""
    depth, sides, signs, start = 0, [], [], 0
    index = 0
    while index < len(text):
        character = text[index]
        depth += (character in _OPEN) - (character in _CLOSE)
        match = _RELATION.match(text, index) if depth == 0 and character in "\\<>=" else None
        if match:
            sides.append(text[start:index].strip())
            signs.append(match.group())
            index = start = match.end()
        else:
            index += 1
    sides.append(text[start:].strip())
    return sides, signs


def value_of(text: str) -> str:
    """The value that a name is given: 7 for `x = 7`, `7 = x`, `x = 3 + 4 = 7`; the text itself where no name is given one."""
    sides, signs = relation(text)
    if not signs or any(sign not in ("=", "\\in") for sign in signs):
        return text
    if _NAMED.match(sides[0]) and sides[-1]:
        return sides[-1]
    if len(sides) == 2 and signs == ["="] and re.fullmatch(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?", sides[1]) and sides[0]:
        return sides[0]
    return sides[-1] if len(sides) > 2 and sides[-1] else text


def is_equation(text: str) -> bool:
    """Whether a text is an equation between expressions, not one that gives a name its value."""
    return relation(text)[1] == ["="] and value_of(text) == text


def same(left: str, right: str, atom: Atom, depth: int = 3) -> bool | None:
    """Whether two expressions are equal; None where that is not known."""
    if _squeezed(left) == _squeezed(right):
        return True
    related = _same_relation(left, right, atom, depth)
    if related is not None:
        return related
    a, b = structure(left), structure(right)
    if a is None and b is None:
        return atom(*_values(left, right))
    if depth == 0:
        return None
    if a is None or b is None:
        left_value, right_value = value_of(left), value_of(right)
        if (left_value, right_value) != (left, right):
            return same(left_value, right_value, atom, depth - 1)
        return None
    return _same_structure(a, b, atom, depth)


def _values(left: str, right: str) -> tuple[str, str]:
    """The values of one name, or of a name and of none; the texts themselves where there are two names or an equation."""
    left_value, right_value = value_of(left), value_of(right)
    if left_value != left and right_value != right and _squeezed(relation(left)[0][0]) != _squeezed(relation(right)[0][0]):
        return left, right
    if (left_value == left) != (right_value == right) and len(relation(left_value)[1]) + len(relation(right_value)[1]):
        return left, right
    return left_value, right_value


def _same_relation(left: str, right: str, atom: Atom, depth: int) -> bool | None:
    """Whether two relations are equal side by side, also from right to left, or two functions of one variable are. True or None."""
    (a, a_signs), (b, b_signs) = relation(left), relation(right)
    if not a_signs or not b_signs or depth == 0 or not all(a) or not all(b) or structure(left) or structure(right):
        return None
    if a_signs == b_signs and all(same(x, y, atom, depth - 1) for x, y in zip(a, b, strict=True)):
        return True
    flipped = [_FLIPPED.get(sign, "") for sign in reversed(b_signs)]
    if a_signs == flipped and all(same(x, y, atom, depth - 1) for x, y in zip(a, reversed(b), strict=True)):
        return True
    if a_signs == b_signs == ["="] and _OF_Y.match(a[0]) and _OF_Y.match(b[0]) and same(a[1], b[1], atom, depth - 1):
        return True
    if a_signs[-1] == b_signs[-1] == "=" and _NAMED.match(a[0]) and a[0] == b[0] and same(a[-1], b[-1], atom, depth - 1):
        return True
    return None


def _same_structure(a: Structure, b: Structure, atom: Atom, depth: int) -> bool | None:
    kinds = {a.kind, b.kind}
    if kinds <= {"list", "set"} or kinds in ({"union"}, {"cases"}):
        return _same_unordered(_named_values(a, b), _named_values(b, a), atom, depth)
    column = [s for s in (a, b) if s.kind == "matrix" and (s.width == 1 or s.width == len(s.items))]
    if a.kind != b.kind and not (column and kinds & {"()", "[]"}):
        return None
    if len(a.items) != len(b.items) or (a.kind == b.kind and a.width != b.width):
        return False if a.kind == b.kind else None
    return _all(same(x, y, atom, depth - 1) for x, y in zip(a.items, b.items, strict=True))


def _named_values(one: Structure, other: Structure) -> tuple[str, ...]:
    """The elements, without the name of the one unknown whose values they are (`x = 1, x = 2`), or without their names where the
    other list has none."""
    names = {relation(item)[0][0] for item in one.items if value_of(item) != item}
    if len(names) == 1 or not any(relation(item)[1] for item in other.items):
        return tuple(value_of(item) for item in one.items)
    return one.items


def _same_unordered(a: Sequence[str], b: Sequence[str], atom: Atom, depth: int) -> bool | None:
    flat = _flat(a), _flat(b)
    if len(a) != len(b) and len(flat[0]) == len(flat[1]) and all(same(x, y, atom, 0) for x, y in zip(*flat, strict=True)):
        return True
    left = list({_squeezed(item): item for item in a}.values())
    right = list({_squeezed(item): item for item in b}.values())
    if len(left) != len(right) or len(left) > MAX_ITEMS:
        return None if _is_any_compound([*left, *right]) or len(left) > MAX_ITEMS else False
    unknown = False
    for item in left:
        verdicts = [(same(item, other, atom, depth - 1), index) for index, other in enumerate(right)]
        index = next((index for verdict, index in verdicts if verdict), None)
        if index is not None:
            right.pop(index)
        elif any(verdict is None for verdict, _ in verdicts):
            unknown = True
        else:
            return False
    return None if unknown else True


def _flat(items: Sequence[str]) -> list[str]:
    return [part for item in items for part in split(item, ",;")]


def _is_any_compound(items: Sequence[str]) -> bool:
    """Whether an element is more than a number, so that two of them may be the same, or one of them several."""
    return any(re.search(r"[^\d.\-\s/]", item) for item in items)


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    known = list(verdicts)
    if any(verdict is False for verdict in known):
        return False
    return None if any(verdict is None for verdict in known) else True


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def without_condition(text: str) -> str:
    """The text before ", where ..." and "for ..."."""
    return _CONDITION.sub("", text)
