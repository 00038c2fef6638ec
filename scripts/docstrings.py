"""Docstrings on the site: lines that begin with the name of a setting (`beta: ...`) become a list, examples blocks of code."""

import re
from typing import Any

import griffe

_NAMES = re.compile(r"`?[a-z]\w*`?(?:, `?[a-z]\w*`?)*: ")


def listed(text: str) -> str:
    """The text with an item for each line that begins with names and a colon, after its first paragraph."""
    first, blank, rest = text.partition("\n\n")
    lines: list[str] = []
    within = False
    for line in rest.splitlines():
        if found := _NAMES.match(line):
            names = re.sub(r"`?(\w+)`?", r"`\1`", found[0].removesuffix(": "))
            lines += ([] if within else [""]) + [f"- {names}: {line[found.end() :]}"]
            within = True
        else:
            within = within and bool(line.strip())
            lines.append(f"    {line}" if within else line)
    return first + blank + "\n".join(lines)


def fenced(text: str) -> str:
    """The text with its examples, from `>>>` to the next empty line, as blocks of code."""
    lines: list[str] = []
    within = False
    for line in [*text.splitlines(), ""]:
        if line.startswith(">>> ") and not within:
            lines.append("```pycon")
            within = True
        elif within and not line.strip():
            lines.append("```")
            within = False
        lines.append(line)
    return "\n".join(lines).rstrip()


class Lists(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(listed(obj.docstring.value))
