"""JSON documents and lines, with errors that name the place."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aftune.common.errors import DataError
from aftune.common.text_files import write_lines

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DEEPEST = 100  # levels of lists and objects; what writes records again takes some more


def parse_json(text: str, place: str) -> Any:
    """The value of a line; raises DataError, starting with `place`, for what is not JSON or could not be written again."""
    try:
        value = json.loads(text.rstrip("\r\n"))
    except json.JSONDecodeError as error:
        cut = "" if text.endswith("\n") else ", the line is cut off"
        raise DataError(f"{place}: not valid JSON at column {error.colno}{cut}; correct or remove this line") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{place}: {json_trouble(error)}; correct or remove this line") from error
    check_value(text, value, place)
    return value


def json_trouble(error: Exception) -> str:
    """What is wrong with a JSON text that Python's parser gives up on, though the text may be valid."""
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON at line {error.lineno}, column {error.colno}"
    return f"JSON with an integer of more than {sys.get_int_max_str_digits():,} digits"


def check_value(text: str, value: Any, place: str) -> None:
    """Raises DataError where a JSON value could not be written again: it is nested too deeply, or contains half of a surrogate
    pair, which UTF-8 cannot encode."""
    if text.count("[") + text.count("{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise DataError(f"{place}: JSON that is nested more than {_DEEPEST} levels deep; correct or remove this line")
    if _SURROGATE.search(text) is None:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(f"{place}: {half} is half of a surrogate pair, which is not a character; correct this line") from error


def _depth(value: Any) -> int:
    """Levels of lists and objects."""
    level, depth = [value], 0
    while level := [inner for inner in level if isinstance(inner, dict | list)]:
        level = [each for inner in level for each in (inner.values() if isinstance(inner, dict) else inner)]
        depth += 1
    return depth


def read_json(path: Path, missing: Any = None, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The value of a JSON file of an earlier stage; `missing`, if given, where there is no file. object_hook: what becomes of each
    object. Raises DataError for a file that is not JSON."""
    if missing is not None and not path.exists():
        return missing
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_hook=object_hook)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; put back the file that was written, or make it again") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: {json_trouble(error)}; put back the file that was written, or make it again") from error


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON document to a file, atomically."""
    write_lines(path, [json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)])
