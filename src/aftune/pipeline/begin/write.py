"""The recipe for a file of questions, with a comment at every setting."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aftune.common.errors import UsageError
from aftune.common.text_files import open_atomic, write_lines
from aftune.common.wording import counted
from aftune.common.yaml_text import parse_yaml
from aftune.pipeline.begin.file import check_new, recipe_path
from aftune.pipeline.begin.look import Lengths, Looked, look, measure, task_of
from aftune.pipeline.begin.settings import Settings, settings_for
from aftune.recipe import BUNDLED, recipe_from
from aftune.tasks.base import state_answer
from aftune.tasks.columns import Columns

_PLAIN = re.compile(r"(?!(?:y|yes|n|no|on|off|true|false|null|none)$)[A-Za-z_./][\w./-]*(?: [\w./-]+)*", re.IGNORECASE)
_UNFIT = re.compile(r"[^\w.-]+")  # for the name of a folder
_BLANKS = {"number": "NUMBER", "choice": "LETTER", "math": "ANSWER", "text": "ANSWER"}


@dataclass(frozen=True)
class Begun:
    """What was found and written; bad_lines: the file that lists the rows that cannot be read, where there are some; extras: of
    aftune, which a run needs. run_dir: where a run would be."""

    recipe: Path
    run_dir: Path
    bad_lines: Path | None
    looked: Looked
    lengths: Lengths
    settings: Settings
    extras: list[str]


def begin(folder: Path, data: Path, columns: Columns, model: str = BUNDLED, *, force: bool = False) -> Begun:
    """Looks at the file and writes a recipe for it into the folder, and beside it the list of the rows that cannot be read.

    Raises UsageError where a column is not known or the recipe is there already, DataError where nothing can be read.
    """
    _check_known(data, columns)
    check_new(folder, data, force=force)
    path = recipe_path(folder, data)
    looked = look(data, columns)
    task = task_of(data, columns)
    lengths = measure(task, looked.problems, model)
    settings = settings_for(len(looked.problems), lengths, toy=model == BUNDLED)
    bad_lines = path.with_name(f"{path.stem}-bad-lines.txt")
    run_dir = _run_dir(path.stem, model)
    text = _text(path, run_dir, data, columns, model, looked, lengths, settings, bad_lines)
    recipe_from(parse_yaml(text), [], str(path))  # no recipe is written that cannot be loaded
    with open_atomic(path) as file:
        file.write(text)
    if looked.bad:
        write_lines(bad_lines, looked.bad)
    elif force:  # of the recipe that was overwritten
        bad_lines.unlink(missing_ok=True)
    return Begun(path, run_dir, bad_lines if looked.bad else None, looked, lengths, settings, _extras(columns, settings))


def _run_dir(name: str, model: str) -> Path:
    """`runs/NAME`, with the model's name if a run of another model is there."""
    usual = Path("runs") / name
    recorded = usual / "recipe.yaml"
    if not recorded.is_file() or parse_yaml(recorded.read_text(encoding="utf-8")).get("model", {}).get("name") == model:
        return usual
    return usual.with_name(f"{name}-{_UNFIT.sub('-', Path(model).name)}")


def _extras(columns: Columns, settings: Settings) -> list[str]:
    return [name for name, needed in (("math", columns.kind == "math"), ("peft", not settings.toy)) if needed]


def _check_known(data: Path, columns: Columns) -> None:
    """Raises UsageError where a column is needed and not known."""
    needed = {"question": columns.question, "answer": columns.answer, "rationale": columns.rationale}
    for option, column in needed.items():
        if column is None:
            more = _measured_alone(data, columns) if option == "rationale" else ""
            raise UsageError(f"{data}: no column looks like the {option}s; name it with --{option} COLUMN{more}")
    if columns.kind == "choice" and columns.options is None:
        raise UsageError(f"{data}: no column looks like the options of a choice; name it with --options COLUMN, or A,B,C,D")


def _measured_alone(data: Path, columns: Columns) -> str:
    """What can be done with questions and answers alone, with the command."""
    options = f", options: {scalar(columns.options)}" if columns.options is not None else ""
    read = f"{{question: {scalar(columns.question)}, answer: {scalar(columns.answer)}, answer_kind: {columns.kind}{options}}}"
    return (
        ". VFT imitates these worked solutions, and without them there is nothing to train on; a model can be measured without: "
        f"aftune benchmark MODEL jsonl data={data} 'task.options={read}' --out runs/measured"
    )


def _text(
    path: Path,
    run_dir: Path,
    data: Path,
    columns: Columns,
    model: str,
    looked: Looked,
    lengths: Lengths,
    settings: Settings,
    bad_lines: Path,
) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # YAML: names of the user's go through `scalar`
    )
    environment.filters["scalar"] = scalar
    form = task_of(data, columns).answer_kind
    stated = state_answer(form, _BLANKS[columns.kind])
    bad = f"; {counted(len(looked.bad), 'row')} could not, and a run stops there: {_comment(bad_lines)}" if looked.bad else ""
    return environment.get_template("recipe.yaml.j2").render(
        model_title="The bundled model, a toy," if model == BUNDLED else f"AFT of {_comment(model)}",
        name=_comment(data.name),
        path=_comment(path),
        run_dir=scalar(str(run_dir)),
        data=scalar(str(data)),
        model=scalar(model),
        num_questions=counted(len(looked.problems), "question"),
        num_train=f"{settings.num_train:,}",
        bad=bad,
        columns=columns,
        extras=",".join(_extras(columns, settings)),
        same_column=" and which state the answer" if columns.rationale == columns.answer else "",
        settings=settings,
        instruction=f"Think step by step, and end with: {stated}" if settings.style == "chat" else None,
        length_note=_length_note(lengths),
    )


def _length_note(lengths: Lengths) -> str:
    """Where max_new_tokens comes from."""
    about = "" if lengths.exact else "about "
    return f"the longest reference has {about}{counted(lengths.longest, 'token')}"


def scalar(value: Any) -> str:
    """A value as YAML in one line: JSON, but for plain words."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _comment(text: object) -> str:
    """A name that a comment can hold."""
    return "".join(character if character.isprintable() else "?" for character in str(text))
