"""The code of README.md, its neighbours and the pages of docs/: blocks, and commands within sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
_NAMED = {"python": "python", "py": "python", "yaml": "yaml", "bash": "shell", "sh": "shell", "console": "shell"}
# A line that is a command, after variables of its environment; one that continues another has been joined to it.
COMMAND = re.compile(
    r"(?:[A-Z_]+=\S+ )*"
    r"(?:aftune|python|pip|make|torchrun|accelerate|srun|sbatch|lm_eval|tensorboard|pytest|ruff|cd|hf|docker|\.)(?: |$)"
)


@dataclass(frozen=True)
class Block:
    """Code of a page and the line where it begins. kind: python, yaml, shell, or text for what is none of them."""

    page: Path
    line: int
    kind: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """The lines that are commands, those that end in a backslash joined with the next, without `$` before them and without
        what a table says of them after four spaces."""
        lines = (line.strip().removeprefix("$ ") for line in re.sub(r"\\\n\s*", " ", self.code).splitlines())
        return [re.split(r" {4,}(?!#)", line)[0] for line in lines if COMMAND.match(line)]


def pages() -> list[Path]:
    named = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "ARCHITECTURE.md"))
    return [*named, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[Block]:
    """All of them, fenced or indented, in lists too."""
    return [block for page in pages() for block in _blocks_of(page)]


def spoken_commands() -> list[Block]:
    """Commands of aftune within sentences and tables, each as a block of one line."""
    found = []
    for page in pages():
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for code in re.findall(r"(?<!`)`(aftune [^`]+)`", line) if not line.startswith("    ") else ():
                found.append(Block(page, number, "shell", code))
    return found


def _blocks_of(page: Path) -> Iterator[Block]:
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and token.map is not None:
            language = token.info.split()[0] if token.info.strip() else ""
            yield Block(page, token.map[0] + 1, _NAMED.get(language) or _kind(token.content), token.content)


def _kind(code: str) -> str:
    """What a block without a name is, by its first line; output that is shown has none of these."""
    first = code.strip().splitlines()[0]
    if re.match(r"(from|import) [\w.]+", first):
        return "python"
    if re.match(r"\w+:( |$)", first):
        return "yaml"
    lines = [line.strip().removeprefix("$ ") for line in code.splitlines()]
    return "shell" if any(COMMAND.match(line) for line in lines) else "text"
