"""Writes the pages of docs/reference that follow from the code: the keys of a recipe, the commands, the recipes that come along.

    make reference

They are kept as Markdown, so that they can be read without building anything; tests/docs/test_reference.py fails where they
are old.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from aftune.cli.main import app
from aftune.recipe import (
    ColumnsSection,
    EngineSection,
    Harmless,
    ImportSection,
    PartSection,
    Recipe,
    Section,
    SourceSection,
    bundled_recipe,
    shipped_recipes,
)

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by scripts/make_reference.py (`make reference`) from the code: change it there. -->"
MARK = "°"
# Sections within sections, by the heading that they get.
INNER: dict[str, type[Section]] = {
    "task.parts": PartSection,
    "candidates": ImportSection,
    "candidates.columns": ColumnsSection,
    "sample.engine": EngineSection,
    "sample.sources": SourceSection,
}
_HEADINGS = {section.__name__: heading for heading, section in INNER.items()}

RECIPE = f"""# Recipe keys

A recipe is a YAML file with one section for each stage. Any key can be set on the command line as `section.key=value`. An
unknown key or a wrong value is an error that names the nearest valid one.

```yaml
run_dir: runs/mine        # the only key that has no default
sft:
  num_epochs: 5
align:
  beta: auto
```

A change of a key redoes the stages whose results depend on it ([Run directories](../runs.md#what-redoes-a-stage)). Keys marked
{MARK} redo nothing: they decide how fast something is computed, where, or in how much memory. *–* is no value, `null` in YAML.
"""
COMMANDS = """# Commands

`aftune --help` lists them, `aftune COMMAND --help` explains one, and `aftune --install-completion` teaches your shell to complete
them. [Exit codes](../reliability.md#exit-codes) are on another page. RECIPE is a file, or the name of one of the
[recipes](recipes.md) that come with aftune; `[SECTION.KEY=VALUE]...` are any of its [keys](recipe.md).
"""
RECIPES = """# Ready recipes

They come with aftune and are found by name from any folder; `aftune recipes` lists them. Any key can be set behind the name:

    aftune run gsm8k-qwen --dry-run                   # the resolved recipe, the stages, the cost; touches nothing
    aftune run gsm8k-qwen --dry-run --for 1xRTX4090   # memory and time on a machine that is not here, and what would fit
    aftune run quickstart seed=1 run_dir=runs/seed1 align.beta=0.3

`FOLDER` holds `train.jsonl` and `test.jsonl` as [GSM8K](https://github.com/openai/grade-school-math) publishes them, a question
and an answer that ends in `#### number` on each line; `gsm8k-published` also needs its `example_model_solutions.jsonl`.
"""


def recipe_page() -> str:
    parts = [MADE, RECIPE, "## Keys without a section\n", *_table(Recipe, sections=False)]
    for name, field in Recipe.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            parts += _part(f"## {name}", section)
            for heading, inner in INNER.items():
                parts += _part(f"### {heading}", inner) if heading.startswith(f"{name}.") else []
    return "\n".join(parts)


def _part(heading: str, section: type[Section]) -> list[str]:
    return [f"{heading}\n", f"{_text(section.__doc__)}\n", *_table(section)]


def _table(section: type[Section], *, sections: bool = True) -> Iterator[str]:
    """The keys of a section, or of a recipe those that are no section."""
    properties = section.model_json_schema()["properties"]
    yield "| key | meaning | default | values |"
    yield "|---|---|---|---|"
    for name, field in section.model_fields.items():
        if not sections and _section(field.annotation) is not None:
            continue
        if not field.description:
            raise SystemExit(f"{section.__name__}.{name} has no meaning: write one below it in aftune/recipe/sections.py")
        mark = f" {MARK}" if any(isinstance(part, Harmless) for part in field.metadata) else ""
        default = "**needed**" if field.is_required() else _default(field.default)
        yield f"| `{name}`{mark} | {_text(field.description)} | {default} | {_values(properties[name])} |"
    yield ""


def _section(annotation: Any) -> type[Section] | None:
    """The section that a key holds, alone or optional."""
    for kind in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _default(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Section):
        return "see there"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{re.sub(r'e-0*', 'e-', f'{value:g}')}`"
    if isinstance(value, list):
        return f"`[{', '.join(value)}]`"
    return f"`{value}`"


def _values(schema: Mapping[str, Any]) -> str:
    """What a key may hold, by its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        heading = _HEADINGS[schema["$ref"].rpartition("/")[2]]
        return f"[section](#{heading.replace('.', '')})"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    simple = {"boolean": "`true`, `false`", "object": "keys and values"}
    match schema["type"]:
        case "integer" | "number":
            return _bounded("whole number" if schema["type"] == "integer" else "number", schema)
        case "array":
            item = _values(schema["items"])
            return f"list of {item}" if item != "text" else "list of texts"
        case "string":
            return "path" if schema.get("format") == "path" else "text"
        case other:
            return simple[other]


def _bounded(kind: str, schema: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return f"{kind}, {' and '.join(bounds)}" if bounds else kind


def _text(words: str | None) -> str:
    """A docstring in one line of a table."""
    return re.sub(r"docs/(\w+)\.md", r"[\1](../\1.md)", _cell(" ".join((words or "").split())))


def commands_page() -> str:
    group: Any = typer.main.get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        panels.setdefault(command.rich_help_panel, []).extend(_command(name, command))
    return "\n".join([MADE, COMMANDS, *(line for panel, lines in panels.items() for line in (f"## {panel}\n", *lines))])


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [param for param in command.params if not param.opts[0].startswith("-")]
    options = [param for param in command.params if param.opts[0].startswith("-")]
    yield f"### aftune {name}\n"
    yield f"{_text(command.help)}\n"
    usage = " ".join([f"aftune {name}", *(param.metavar or param.name.upper() for param in arguments), "[OPTIONS]"])
    yield f"    {usage}\n"
    yield "| argument or option | meaning | default |"
    yield "|---|---|---|"
    for param in (*arguments, *options):
        yield f"| {_spelling(param)} | {_cell(param.help)} | {_given(param)} |"
    yield ""
    example = command.epilog.removeprefix("Example: ")
    yield f"Example:\n\n    {example}\n"


def _spelling(param: Any) -> str:
    if not param.opts[0].startswith("-"):
        return f"`{param.metavar or param.name.upper()}`"
    value = "" if param.is_flag else f" {param.metavar or param.name.upper()}"
    return ", ".join(f"`{option}{value}`" for option in param.opts)


def _given(param: Any) -> str:
    if param.required:
        return "**needed**"
    default = getattr(param, "default", None)
    return "" if default in (None, False, ()) or callable(default) else f"`{default}`"


def _cell(words: str | None) -> str:
    return (words or "").replace("|", "\\|")


def recipes_page() -> str:
    lines = [MADE, RECIPES, "| recipe | what it is | needs | time |", "|---|---|---|---|"]
    recipes = shipped_recipes()
    lines += [f"| [`{one.name}`](#{one.name}) | {one.what} | {one.needs} | {one.time} |" for one in recipes]
    for one in recipes:
        head = bundled_recipe(f"{one.name}.yaml").read_text(encoding="utf-8").partition("\nrun_dir:")[0]
        said = [line.removeprefix("#").removeprefix(" ") for line in head.splitlines() if line.startswith("#")]
        lines += [f"\n## {one.name}\n", *(f"    {line}".rstrip() for line in said)]
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {"recipe.md": recipe_page, "commands.md": commands_page, "recipes.md": recipes_page}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
