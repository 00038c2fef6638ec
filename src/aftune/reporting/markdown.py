"""Text in Markdown that stays text. HTML in it is left to the templates' autoescape: Markdown reads entities."""

import re

from markupsafe import Markup

from aftune.common.wording import visible

_MARKS = re.compile(r"([\\`*_\[\]|~#$])")


def escaped(text: str) -> str:
    """A text for a paragraph, a heading or a cell of a table: in one line, without Markdown's marks."""
    return _MARKS.sub(r"\\\1", visible(" ".join(text.split())))


def fenced(text: str, language: str = "") -> Markup:
    """A block of code. Its fence is longer than any run of backticks in the text, so that nothing in the text ends it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return Markup("\n".join([f"{fence}{language}", visible(text).rstrip("\n"), fence]))
