"""Docstrings on the site: lines that begin with the name of a setting (`beta: ...`) become a list."""

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


class Lists(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = listed(obj.docstring.value)
