"""Mutated input: it is taken, or refused with a message that helps; nothing crashes, hangs or gets lost.

    python tests/faults/fuzzing.py --cases 10000 --seed 0 --keep /tmp/faults

Small valid inputs of each kind are changed, byte by byte (flipped, deleted, inserted, repeated, cut off, swapped; with zeros,
halves of surrogate pairs, huge numbers, NaN, deep nesting and the like) or in their structure (keys dropped, values of other types,
entries repeated or taken out), and given to what reads them. A case is at fault if it

- takes more than some seconds;
- raises what `diagnose` can only call a bug;
- is refused with a message of several lines, with control characters, of more than 1,000 characters, or without the name of a file
  that was changed;
- is accepted, but what was read has not as many rows as the input, cannot be written and read again, or is not valid.

It prints, for each kind, the cases, how many were accepted and refused, and the faults, whose input is kept in the folder that
`--keep` names; it ends with status 1 if there were any.

What is left alone: that a value was changed to another valid one, which nobody can see; and a quotation mark in a table that
takes the lines up to the next one into its cell, which is what quotation marks are for.
"""

import argparse
import copy
import csv
import gzip
import importlib.util
import io
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import unicodedata
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from aftune import tasks
from aftune.common.data_files import scan_rows
from aftune.common.diagnosis import diagnose
from aftune.common.errors import DataError
from aftune.common.time_limit import OutOfTimeError, time_limit
from aftune.common.yaml_text import parse_yaml
from aftune.interchange.importers import FORMATS, import_candidates
from aftune.interchange.importers.voted_explanations import read_groups
from aftune.recipe import ImportSection, Recipe, load_recipe, recipe_from
from aftune.records import Candidate, Feedback, Group, Problem, Record, iter_records, read_records, write_records
from aftune.records.appended import append_records, check_appended
from aftune.records.large_files import CandidateFile, RecordFile
from aftune.records.types import GroupLogprobs, GroupScores, JudgedResponse, Votes

PATIENCE = 10.0  # seconds for a case, on however busy a machine
LONGEST = 1000  # characters of a message
RECIPES = Path(__file__).parents[2] / "recipes"

Case = Callable[[random.Random, Path], None]


class FaultError(Exception):
    """What must not happen, in words."""


@dataclass
class Outcome:
    """Of the cases of a kind. faults: in words, each with the folder that its input was kept in."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


# Mutations


SNIPPETS = (
    b"\0", b"\\u0000", b"\\ud800", b"\\udc00", b'"\\ud83d"', b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b",
    b"NaN", b"-Infinity", b"1e999", b"-1", b"9" * 25, b"9" * 5000, b".nan", b"null", b"true", b"1.5", b"2024-13-45", b"0x10",
    b"[" * 300, b"[" * 3000, b'{"a":' * 3000, b"[" * 280 + b"]" * 280, b"]", b"}", b"{}", b"[]", b"{", b"[", b'""', b'"',
    b"'", b",",
    b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b" ", b"\x0b", b"\x0c", b"\x1b[31m", b"\xc2\x85", b"\xe2\x80\xa8", b"\xc2\xa0",
    b"&a [*a]", b"*a", b"!!python/object:os.system x", b"? ", b": ", b"- ", b"|", b"#", b"---\n", b"...", b"<<: 1", b"%", b"@",
    b"x" * 5000, b'"' + b"y" * 3000 + b'"', "Ü漢字🎲".encode(), b"\\", b"\\n", b"a" * 200_000,
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 1e300, float("nan"), float("inf"), 2**63, 10**30, 10**4000, "", " ", "x", "x" * 3000,
    "\ud800", "\0", "a\nb", "\x1b[31m", "\u2028", "1", "nan", [], {}, [1], ["x"], [None], {"a": 1}, {"": {}}, [[[]]],
    "p/0", "p/1", "0", "~", "~x/y",
)  # fmt: skip


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """With one change, or some."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((1, 1, 2, 8, 64, 512)))
        what = chance.randrange(8)
        if what == 0 and data:
            place = min(start, len(data) - 1)
            data = data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]
        elif what == 1:
            data = data[:start] + data[end:]
        elif what == 2:
            data = data[:start] + bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 4)))) + data[start:]
        elif what == 3:
            data = data[:end] + data[start:end] * chance.choice((1, 1, 2, 50)) + data[end:]
        elif what == 4:
            data = data[:start] if chance.random() < 0.5 else data[start:]
        elif what == 5:
            other = chance.randint(0, len(data))
            low, high = sorted((start, other))
            data = data[high:] + data[low:high] + data[:low]
        else:
            data = data[:start] + chance.choice(SNIPPETS) + data[start if what == 6 else end :]
    return data


def mutated_value(value: Any, chance: random.Random) -> Any:
    """A copy of a JSON value with one change in its structure, or some."""
    value = copy.deepcopy(value)
    deep = False  # once is enough: what copies a value takes two calls for a level
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            return chance.choice(VALUES)
        inside, key = chance.choice(places)
        what = chance.randrange(8)
        if what == 0:
            del inside[key]
        elif what == 1 and isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[key]))
        elif what == 1:
            inside[chance.choice(("extra", "", "0", f"{key} ", f"{key}s", "x" * 3000, "\n", "\ud800", "\x1b"))] = inside[key]
        elif what == 2:
            inside[key] = [inside[key]] if chance.random() < 0.5 else {"value": inside[key]}
        elif what == 3:
            inside[key] = str(inside[key])
        elif what == 4 and not deep:
            other, place = chance.choice(places)
            inside[key] = copy.deepcopy(other[place])
        elif what == 5 and isinstance(inside[key], dict | list):
            inside[key] = type(inside[key])()
        elif what == 6 and not deep:
            deep = True
            for _ in range(chance.choice((3, 100, 150, 250, 300))):
                inside[key] = [inside[key]]
        else:
            inside[key] = copy.deepcopy(chance.choice(VALUES))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All places in a value: what they are in, and the key."""
    waiting = [value]
    while waiting:
        inside = waiting.pop()
        for key in list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ():
            yield inside, key
            waiting.append(inside[key])


def mutated_lines(rows: Sequence[Any], chance: random.Random) -> bytes:
    """Rows as JSON Lines, changed in structure or bytes or both."""
    changed = mutated_value(list(rows), chance) if chance.random() < 0.6 else list(rows)
    lines = changed if isinstance(changed, list) else [changed]
    data = "".join(_json(row, chance) + "\n" for row in lines).encode()
    return data if changed != rows and chance.random() < 0.8 else mutated_bytes(data, chance)


def _json(value: Any, chance: random.Random) -> str:
    try:
        return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode().decode()
    except UnicodeEncodeError:
        return json.dumps(value)


def mutated_table(rows: Sequence[Sequence[str]], chance: random.Random, delimiter: str = ",") -> bytes:
    """A table, changed in structure or bytes or both."""
    changed = mutated_value([list(row) for row in rows], chance) if chance.random() < 0.6 else [list(row) for row in rows]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=chance.choice(("\n", "\r\n")))
    for row in changed if isinstance(changed, list) else [changed]:
        writer.writerow([field for field in row if field is not None] if isinstance(row, list) else [str(row)])
    data = file.getvalue().encode("utf-8", "replace")
    return data if changed != rows and chance.random() < 0.8 else mutated_bytes(data, chance)


# Kinds of input


def the_same(ours: Any, expected: Any, what: str) -> None:
    if ours != expected and repr(ours) != repr(expected):  # NaN is not NaN
        raise FaultError(f"{what}: {ours!r:.300} instead of {expected!r:.300}")


def refusal(action: Callable[[], object]) -> str | None:
    """The message of a DataError, or None."""
    try:
        action()
    except DataError as error:
        return str(error)
    return None


def lines_of(data: bytes) -> list[str]:
    """What is on the lines that are not blank."""
    return [text for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if (text := line.decode()).strip()]


PROBLEMS = [
    Problem(
        id="p/0",
        task="t",
        question="How  many\ncats?",
        gold_answer="3",
        rationale="1+2=3\n#### 3",
        metadata={"a": [1, {"b": None}]},
    ),
    Problem(id="p/1", task="t", question="How many dogs?", gold_answer="B", options=["3", "4"]),
]
CANDIDATES = [
    Candidate(
        problem_id=f"p/{n // 2}", index=n % 2, text=f"Ü {n}\u2028\n", token_ids=[5, n], seed=n, settings={"t": 0.5, "stop": ["\n"]}
    )
    for n in range(4)
]
FEEDBACK = Feedback(answer="3", quality=1.0, reason="matched", rank=2.0)
SEEDS: dict[type[Record], Sequence[Record]] = {
    Problem: PROBLEMS,
    Candidate: CANDIDATES,
    Group: [Group(problem=problem, candidates=CANDIDATES[:2], feedback=[FEEDBACK, FEEDBACK]) for problem in PROBLEMS],
    GroupScores: [GroupScores(problem_id="p/0", scores=[-0.5, -1.25], reference_logprob=-3.5, reference_length=7)] * 2,
    GroupLogprobs: [GroupLogprobs(problem_id="p/0", sums=[-3.5, -2.0], lengths=[7, 4], indices=[None, 0])] * 2,
    JudgedResponse: [JudgedResponse(problem_id="p/0", text="3", answer="3", right=True, reason="matched", finish_reason="stop")]
    * 2,
    Votes: [Votes(problem_id="p/0", answers=["3", None], right=[True, False], scores=[-0.5, -1.0])] * 2,
}


def records(chance: random.Random, folder: Path) -> None:
    """All ways to read a file agree on what is in it, and what is read can be written and read again."""
    kind = chance.choice(list(SEEDS))
    path = folder / "records.jsonl"
    data = mutated_lines([json.loads(record.model_dump_json(exclude_none=True)) for record in SEEDS[kind]], chance)
    path.write_bytes(data)
    message = refusal(lambda: read_records(path, kind))
    if refusal(lambda: RecordFile(path, kind)) is None:  # bytes that are no text are found at once
        file = RecordFile(path, kind)
        for other in (lambda: list(file), lambda: [file[place] for place in range(len(file))], lambda: file[:]):
            the_same(refusal(other), message, "what another way of reading says")
    elif message is None:
        raise FaultError("RecordFile and read_records do not agree")
    if kind is Candidate and (message is None) != (refusal(lambda: list(CandidateFile(path).rest())) is None):
        raise FaultError("CandidateFile and read_records do not agree")
    read = read_records(path, kind)
    the_same(len(read), len(lines_of(data)), "records")
    write_records(folder / "again.jsonl", read)
    the_same(list(iter_records(folder / "again.jsonl", kind)), read, "records that were written again")
    if kind is Candidate:
        the_same(sum(map(len, CandidateFile(path).rest())), len(read), "candidates")


def growing_file(chance: random.Random, folder: Path) -> None:
    """What is left are the first batches that were written; whole ones are only lost where a file was cut off."""
    path = folder / "records.jsonl"
    ends = [0]
    for start in range(0, 4, 2):
        append_records(path, CANDIDATES[start : start + 2])
        ends.append(path.stat().st_size)
    append_records(path, CANDIDATES[:1])
    ends.append(path.stat().st_size)
    before, checksums = path.read_bytes(), folder / "records.jsonl.checksums"
    victim = chance.choice((path, checksums))
    victim.write_bytes(mutated_bytes(victim.read_bytes(), chance))
    given = path.read_bytes()
    check_appended(path)
    left = path.read_bytes()
    if not before.startswith(left) or len(left) not in ends:
        raise FaultError(f"{len(left)} bytes are left that were not written, or half a batch")
    whole = max(end for end in ends if given.startswith(before[:end]))
    if len(left) < whole and not (victim == checksums and len(left) == ends[-2]):
        raise FaultError(f"{len(left)} bytes are left, though {whole} were as they were written")
    append_records(path, CANDIDATES[:1])
    check_appended(path)
    the_same(len(path.read_bytes().splitlines()), len(left.splitlines()) + 1, "lines after another batch")


ROWS: list[Any] = [
    {"question": "How  many\ncats?", "answer": "1+2=3\n#### 3", "n": 1},
    {"question": "Wie viele Hünde?", "answer": "#### 4", "n": -2.5},
    {"question": 'How many, "all" in all?', "answer": None, "n": 3},
]
TABLE = [["question", "answer", "n"], *([str(value or "") for value in row.values()] for row in ROWS)]


def data_file(chance: random.Random, folder: Path) -> None:
    """Every row has a value or an error that names its place."""
    form = chance.choice((".jsonl", ".json", ".csv", ".tsv", ";.csv"))
    path = folder / f"data{form.removeprefix(';')}"
    if form == ".jsonl":
        data = mutated_lines(ROWS, chance)
    elif form == ".json":
        value = mutated_value(ROWS, chance) if chance.random() < 0.6 else ROWS
        data = json.dumps(value, indent=chance.choice((None, 1))).encode()
        data = mutated_bytes(data, chance) if value == ROWS or chance.random() < 0.2 else data
    else:
        data = mutated_table(TABLE, chance, {".csv": ",", ".tsv": "\t", ";.csv": ";"}[form])
    if chance.random() < 0.1:
        data = gzip.compress(data, mtime=0)
        data = mutated_bytes(data, chance) if chance.random() < 0.8 else data
    path.write_bytes(data)
    rows = list(scan_rows(path))
    errors = [row for _, row in rows if isinstance(row, DataError)]
    for place, _ in rows:
        if not place.startswith(f"{path}:"):
            raise FaultError(f"{place!r} is no place in {path}")
    for error in errors:
        check_message(error, [path.name])
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            if not rows or not isinstance(rows[-1][1], DataError):  # one after which the rest is not read
                raise FaultError(f"a damaged archive is taken: {error}") from error
            raise rows[-1][1] from error
    text = data.decode("utf-8-sig", "replace")
    if text.lstrip().startswith("["):
        if not errors:
            the_same([row for _, row in rows], json.loads(text), "the rows of an array")
    elif form == ".jsonl" and text.lstrip().startswith("{"):
        stopped = any("continues on the next line" in str(error) for error in errors)
        if len(rows) != len(lines_of(data)) and not stopped:
            raise FaultError(f"{len(rows)} rows of {len(lines_of(data))} lines")
        for (_, row), line in zip(rows, lines_of(data), strict=False):
            if not isinstance(row, DataError):
                the_same(row, json.loads(line), "a row")
    elif not errors and rows and isinstance(rows[0][1], dict) and not text.lstrip().startswith("{"):
        names = list(rows[0][1])
        tables = [[row for row in csv.reader(io.StringIO(text, newline=""), delimiter=sign) if row] for sign in ",\t;"]
        if (len(names), len(rows) + 1) not in [(len(table[0]), len(table)) for table in tables]:
            raise FaultError(f"{len(rows)} rows with {len(names)} columns")
    if errors:
        raise errors[0]


TASKS: dict[str, tuple[str, dict[str, str], list[Any]]] = {  # the file of a task, its options and its rows
    "jsonl": (
        "train.jsonl",
        {"question": "q", "answer": "a", "rationale": "why", "id": "id"},
        [{"q": f"{n}+1?", "a": n + 1, "why": f"{n}+1={n + 1}", "id": f"r{n}"} for n in range(3)],
    ),
    "gsm8k": (
        "train.jsonl",
        {},
        [{"question": f"{n}+1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"} for n in range(3)],
    ),
    "aqua": (
        "train.json",
        {},
        [
            {"question": f"{n}+1?", "options": ["A)1", "B)2", "C)3"], "rationale": "So it is.\nAnswer: A", "correct": "A"}
            for n in range(3)
        ],
    ),
}


def task(chance: random.Random, folder: Path) -> None:
    """Every row of a data set is a problem, left out with a reason, or an error that names its place."""
    name = chance.choice(list(TASKS))
    file, options, rows = TASKS[name]
    path = folder / file
    path.write_bytes(mutated_lines(rows, chance))
    found = list(tasks.build(name, folder, options=options).survey("train"))
    given = list(scan_rows(path))
    if len(found) != max(len(given), 1):  # of an empty file, an error
        raise FaultError(f"{len(found)} problems, rows left out and errors of {len(given)} rows")
    problems = [entry for entry in found if isinstance(entry, Problem)]
    errors = [entry for entry in found if isinstance(entry, DataError)]
    the_same(len({problem.id for problem in problems}), len(problems), "ids")
    for error in errors:
        check_message(error, [path.name])
    if problems:
        write_records(folder / "again.jsonl", problems)
        the_same(read_records(folder / "again.jsonl", Problem), problems, "problems that were written again")
    if errors:
        raise errors[0]


@cache
def recipe_seeds() -> list[str]:
    return [
        path.read_text(encoding="utf-8")
        for path in sorted(RECIPES.rglob("*.yaml"))
        if "run_dir" in path.read_text(encoding="utf-8")
    ] + [Recipe(run_dir=Path("runs/x")).to_yaml()]


OVERRIDES = (
    "align.beta=0.3", "sample.num_candidates=3", "task.options={a: 1}", "run_dir=runs/y", "model.name=bundled", "seed=1",
    "compare.methods=[vft, aft-bc:beta=0.3]", "sample.engine=vllm", "evaluate.engine.base_url=http://localhost:8000/v1",
    "sample.stop=[a, b]", "adapter.kind=qlora", "candidates.columns.text=answer",
)  # fmt: skip


def _yaml(value: Any) -> str:
    try:
        return yaml.safe_dump(value)
    except RecursionError:
        return json.dumps(value)


def recipe(chance: random.Random, folder: Path) -> None:
    """A recipe that is read can be written and read again, and is the same then."""
    path = folder / "recipe.yaml"
    text = chance.choice(recipe_seeds())
    overrides = [chance.choice(OVERRIDES) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    if overrides and chance.random() < 0.7:
        overrides = [mutated_bytes(override.encode(), chance).decode("utf-8", "surrogateescape") for override in overrides]
        path.write_text(text, encoding="utf-8")
    elif chance.random() < 0.6:
        value = mutated_value(yaml.safe_load(text), chance)
        path.write_text(_yaml(value), encoding="utf-8")
    else:
        path.write_bytes(mutated_bytes(text.encode(), chance))
    (folder / "overrides.json").write_text(json.dumps(overrides))
    loaded = load_recipe(path, overrides)
    written = loaded.to_yaml()
    written.encode()
    again = recipe_from(parse_yaml(written), (), "the recipe that was written again")
    the_same(again.to_yaml(), written, "the recipe that was written again")
    json.dumps(loaded.model_dump(mode="json"), allow_nan=False, ensure_ascii=False).encode()
    for place in (loaded.run_dir, loaded.data, loaded.candidates and loaded.candidates.path, Path(loaded.model.name)):
        if place is not None and "\0" in str(place):
            raise FaultError(f"{place!r} is no path")


def _imported_rows() -> dict[str, list[Any]]:
    from aftune.interchange.importers.gsm8k_solutions import KINDS

    asked = [problem.question for problem in PROBLEMS]
    solutions = {kind: {"solution": f"1+{n}\nA: {n}\n", "is_correct": n == 2} for n, kind in enumerate(KINDS)}
    configs = {"engine": "vllm", "temperature": 0.0, "top_p": 1.0}
    return {
        "json_lines": [
            {"problem_id": "p/0", "text": "a", "index": 0, "finish_reason": "length"},
            {"problem_id": "p/0", "text": "b", "index": 1},
            {"question": asked[1], "text": "c"},
            {"problem_id": "p/2", "text": "d"},
        ],
        "gsm8k_solutions": [{"question": question, "ground_truth": "A: 3", **solutions} for question in (*asked, "Another?")],
        "zeroeval": [
            {"id": f"x-{n}", "question": question, "output": ["a", "b"], "generator": "some/model", "configs": configs}
            for n, question in enumerate((*asked, "Another?"))
        ],
        "lm_eval": [
            {"doc_id": n, "doc": {"question": question, "answer": "3"}, "resps": [["a", "b"], [f"c{n}"]], "filter": name}
            for name in ("strict", "flexible")
            for n, question in enumerate((*asked, "Another?"))
        ],
        "openai_batch": [
            {
                "id": "1",
                "custom_id": name,
                "response": {
                    "status_code": 200,
                    "body": {
                        "model": "m",
                        "choices": [
                            {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                            for n, text in enumerate(("a", "b"))
                        ],
                    },
                },
                "error": None,
            }
            for name in ("p/0", "p/1#0", "p/1#1", "p/2")
        ],
    }  # fmt: skip


def _num_responses(form: str, row: Any) -> int:
    """Of a row that an importer took."""
    if form == "gsm8k_solutions":
        return 4
    if form == "zeroeval":
        return len(row["output"])
    if form == "lm_eval":
        return sum(len(request) if isinstance(request, list) else 1 for request in row["resps"])
    if form == "openai_batch":
        failed = row.get("error") or (row.get("response") or {}).get("status_code", 200) != 200
        return 1 if failed else len(row["response"]["body"]["choices"])
    return 1


def importer(chance: random.Random, folder: Path) -> None:
    """Every response is a candidate or left out with a reason; a row that fits no problem is left out as one."""
    form = chance.choice(list(FORMATS))
    rows = _imported_rows()[form]
    path = folder / "file.jsonl"
    how = chance.random()
    if form == "zeroeval" and how < 0.5:
        data = mutated_bytes(json.dumps(rows).encode(), chance) if how < 0.2 else json.dumps(mutated_value(rows, chance)).encode()
    elif form == "json_lines" and how < 0.3:
        names = ["problem_id", "question", "text", "index", "finish_reason"]
        data = mutated_table([names, *([str(row.get(name, "")) for name in names] for row in rows)], chance)
    else:
        data = mutated_lines(rows, chance)
    path.write_bytes(data)
    imported = import_candidates(ImportSection(format=form, path=path), None, PROBLEMS)  # type: ignore[arg-type]
    read = dict(scan_rows(path))
    by_place = Counter(row["place"] for row in imported.left_out)
    unmatched = {row["place"] for row in imported.left_out if row["reason"].startswith("fits ")}
    for row in imported.left_out:
        if row["place"] not in read or len(str(row)) > LONGEST + len(str(path)) or len(row["reason"].splitlines()) != 1:
            raise FaultError(f"left out as {row!r:.2000}")
    repeats, seen = set(), {}
    if form == "lm_eval":
        for place, row in read.items():
            if str(seen.setdefault(row.get("doc_id", place), row).get("filter", "none")) != str(row.get("filter", "none")):
                repeats.add(place)
                first = seen[row.get("doc_id", place)]
                the_same((row["doc"], row["resps"]), (first["doc"], first["resps"]), "a document that was taken for one before")
    counted = {place: 1 if place in unmatched else _num_responses(form, row) for place, row in read.items() if place not in repeats}
    if min(counted.values()) == 0 and any(counted[place] == 0 and not by_place[place] for place in counted):
        raise FaultError("a row without responses is not listed")
    expected = sum(max(number, 1) for number in counted.values())
    the_same(len(imported.candidates) + len(imported.left_out), expected, "candidates and what was left out")
    write_records(folder / "again.jsonl", imported.candidates)
    the_same(read_records(folder / "again.jsonl", Candidate), imported.candidates, "candidates that were written again")
    (folder / "left_out.json").write_text(json.dumps(imported.left_out, ensure_ascii=False), encoding="utf-8")
    if len({(candidate.problem_id, candidate.index) for candidate in imported.candidates}) < len(imported.candidates):
        raise FaultError("two candidates of a problem have the same index")
    if form == "gsm8k_solutions":
        for candidate in imported.candidates:
            verdicts = [row[str(candidate.settings["model"])]["is_correct"] for row in read.values()]
            if not all(isinstance(verdict, bool) for verdict in verdicts):
                raise FaultError(f"a verdict of {verdicts!r:.200}")


def voted_explanations(chance: random.Random, folder: Path) -> None:
    """Every explanation of a question is a candidate or left out with a reason; every row is a vote."""
    numbers = range(1, 6)
    columns = ["Input.id", "Input.question", "Input.answer_choices", "Input.gold_label"]
    columns += [f"Input.{name}_{n}" for name in ("source_sample", "explanation", "nll") for n in numbers] + ["Answer.acceptable"]
    options = "bookshelf, poetry, book store, a school, or on a train"
    same = [
        "Where?",
        options,
        "book store",
        *map(str, numbers),
        "Books.",
        "It sells books.",
        " ",
        "Books.",
        "No.",
        *(f"{n}.5" for n in numbers),
    ]
    table = [columns, *([name, *same, vote] for name, vote in zip("abcdaa", ("1|3", "", "2", "4", "5", "1|2"), strict=True))]
    path = folder / "file.csv"
    path.write_bytes(mutated_table(table, chance))
    groups, left_out, counts = read_groups(path)
    rows = [row for row in csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")) if row]
    the_same(counts["votes"], len(rows) - 1, "votes")
    names = {row[rows[0].index("Input.id")] for row in rows[1:]}
    the_same(len(groups), len(names), "questions")
    the_same(sum(len(group.candidates) for group in groups) + len(left_out), 5 * len(names), "explanations")
    if len(set(rows[0])) < len(rows[0]):
        raise FaultError(f"two columns have the same name: {rows[0]}")
    write_records(folder / "again.jsonl", groups)
    the_same(read_records(folder / "again.jsonl", Group), groups, "groups that were written again")


@cache
def model_seed() -> Path:
    """The folder of a tiny Llama with the bundled tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from aftune.models.loading import load_tokenizer
    from aftune.recipe import BUNDLED

    tokenizer = load_tokenizer(BUNDLED)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="aftune-fuzzing-"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@cache
def adapter_seed() -> Path | None:
    """The folder of an adapter of that model, with a tokenizer; None without PEFT."""
    if importlib.util.find_spec("peft") is None:
        return None
    from aftune.models.adapters import add_adapter
    from aftune.models.loading import load_model, load_tokenizer
    from aftune.recipe import AdapterSection, ModelSection

    folder = Path(tempfile.mkdtemp(prefix="aftune-fuzzing-"))
    section = ModelSection(name=str(model_seed()), device="cpu", precision="float32")
    add_adapter(load_model(section.name, section), AdapterSection(kind="lora", rank=2)).save_pretrained(folder)
    load_tokenizer(section.name).save_pretrained(folder)
    return folder


def model_folder(chance: random.Random, folder: Path) -> None:
    """One file is changed. A model that loads has the weights that were saved, and computes."""
    import torch
    from huggingface_hub import constants

    from aftune.models.loading import context_length, count_parameters, load_config, load_model, load_tokenizer, stop_token_ids
    from aftune.recipe import ModelSection

    place = folder / "model"
    adapter = adapter_seed() if chance.random() < 0.3 else None
    shutil.copytree(adapter or model_seed(), place)
    names = ("adapter_config.json", "adapter_model.safetensors") if adapter else ("config.json", "model.safetensors")
    victim = chance.choice([*sorted(place.iterdir()), *(place / name for name in names)])
    data = victim.read_bytes()
    if chance.random() < 0.1:
        victim.unlink()
    elif chance.random() < 0.1:
        victim.write_bytes(chance.choice([path for path in sorted(place.iterdir()) if path != victim]).read_bytes())
    elif victim.suffix == ".json" and chance.random() < 0.6:
        victim.write_text(json.dumps(mutated_value(json.loads(data), chance)))
    elif victim.suffix == ".safetensors" and chance.random() < 0.7:
        size = int.from_bytes(data[:8], "little")
        header = mutated_bytes(data[8 : 8 + size], chance)
        if chance.random() < 0.6:
            header = json.dumps(mutated_value(json.loads(data[8 : 8 + size]), chance)).encode()
        victim.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    else:
        victim.write_bytes(mutated_bytes(data, chance))
    tokenizer = load_tokenizer(str(place))
    config = load_config(str(place) if adapter is None else str(model_seed()))
    if config is None:
        raise FaultError("there is a folder, but no configuration")
    count_parameters(config)
    with patch.object(constants, "HF_HUB_OFFLINE", True):  # an adapter may name any base
        model = load_model(str(place), ModelSection(name=str(place), device="cpu", precision="float32"))
    stop_token_ids(model, tokenizer)
    context_length(config)
    ids = tokenizer("12+3=15\n", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        model(input_ids=ids)


def server_answer(chance: random.Random, folder: Path) -> None:
    """Every request has a completion that can be written, or is named in an error."""
    from aftune.errors import UnansweredError
    from aftune.sampling.interface import Request, SamplingSettings
    from aftune.sampling.openai.engine import OpenAIEngine
    from aftune.sampling.openai.manner import Own
    from aftune.sampling.openai.server import ServerSettings
    from faulty_server import FaultyServer, running

    changes: list[str] = []

    def change(data: bytes) -> bytes:
        if chance.random() < 0.5:
            return data
        structure = chance.random() < 0.7
        changed = json.dumps(mutated_value(json.loads(data), chance)).encode() if structure else mutated_bytes(data, chance)
        changes.append(changed.decode("utf-8", "backslashreplace"))
        (folder / "answers.json").write_text(json.dumps(changes))
        return changed

    server = FaultyServer(lambda body: f" answer {body['seed']}")
    server.change = change
    server.logprobs = lambda text: [-0.5, -1.0]
    requests = [Request([1, 2, 3], n, f"p/{n}", "abc") for n in range(3)]
    found: dict[int, Candidate] = {}
    with running(server):
        settings = ServerSettings(server.base_url, timeout=2.0, attempts=2, first_wait=0.001, logprobs=True)
        own = Own(len, frozenset([0])) if chance.random() < 0.5 else None
        engine = OpenAIEngine(settings, chance.choice(("completions", "chat")), 2, own)
        left: UnansweredError | None = None
        try:
            for index, completion in engine.complete(requests, SamplingSettings(20)):
                if index in found:
                    raise FaultError(f"request {index} has two completions")
                found[index] = Candidate(
                    problem_id="p",
                    index=index,
                    text=completion.text,
                    token_ids=completion.token_ids,
                    settings=completion.told | engine.origin,
                )
        except UnansweredError as error:
            left = error
    missing = [request.name for index, request in enumerate(requests) if index not in found]
    if missing and (left is None or any(name not in str(left) for name in missing)):
        raise FaultError(f"{missing} have no completion, and {left} does not say so")
    if found:
        append_records(folder / "again.jsonl", found.values())
        the_same(read_records(folder / "again.jsonl", Candidate), list(found.values()), "candidates that were written again")
    if left is not None:
        raise left


KINDS: dict[str, tuple[Case, float]] = {  # with their shares of the cases
    "records": (records, 0.2),
    "growing files": (growing_file, 0.04),
    "data files": (data_file, 0.2),
    "tasks": (task, 0.1),
    "recipes": (recipe, 0.12),
    "importers": (importer, 0.2),
    "voted explanations": (voted_explanations, 0.1),
    "model folders": (model_folder, 0.03),
    "server answers": (server_answer, 0.01),
}


# Cases


def check_message(error: Exception, names: Sequence[str]) -> None:
    """Raises FaultError for an error that does not help its reader."""
    known = diagnose(error)
    message = str(known)
    if "this looks like a bug in aftune" in message:
        raise FaultError(f"{message}\n{''.join(traceback.format_exception(error))}")
    if len(message) > LONGEST:
        raise FaultError(f"a message of {len(message):,} characters: {message[:500]} ... {message[-200:]}")
    if len(message.splitlines()) != 1 or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in message):
        raise FaultError(f"a message of several lines or with control characters: {message!r}")
    if not any(name in message for name in names):
        raise FaultError(f"a message that names no place ({', '.join(names)}): {message}")


def run_case(kind: str, seed: str, folder: Path) -> str | FaultError:
    """`accepted`, `refused`, or what is at fault."""
    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    began = time.monotonic()
    try:
        with _patience(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind][0](random.Random(seed), place)
        result: str | FaultError = "accepted"
    except FaultError as error:
        result = error
    except Exception as error:
        names = [str(place), "override", "127.0.0.1", *(repr(override[:50])[:-1] for override in _overrides(place))]
        try:
            check_message(error, names)
            result = "refused"
        except FaultError as fault:
            result = fault
    if (seconds := time.monotonic() - began) > PATIENCE:
        result = FaultError(f"it took {seconds:.0f} s")
    return result


def _overrides(folder: Path) -> list[str]:
    path = folder / "overrides.json"
    return json.loads(path.read_text()) if path.exists() else []


@contextmanager
def _patience() -> Iterator[None]:
    try:
        with time_limit(PATIENCE):
            yield
    except OutOfTimeError as error:
        place = "".join(traceback.format_tb(error.__traceback__))
        raise FaultError(f"no end after {PATIENCE:.0f} s\n{place}") from error


def run_kind(kind: str, cases: int, seed: int, folder: Path, keep: Path | None = None) -> Outcome:
    """So many cases of a kind; `seed` and its number decide each of them."""
    outcome, began = Outcome(cases), time.monotonic()
    for number in range(cases):
        result = run_case(kind, f"{kind} {seed} {number}", folder)
        outcome.accepted += result == "accepted"
        outcome.refused += result == "refused"
        if isinstance(result, FaultError):
            kept = ""
            if keep is not None:
                kept = f" in {keep / f'{kind}-{seed}-{number}'.replace(' ', '-')}"
                shutil.copytree(folder / "case", keep / f"{kind}-{seed}-{number}".replace(" ", "-"), dirs_exist_ok=True)
            outcome.faults.append(f"{kind}, case {number}{kept}: {result}")
    outcome.seconds = time.monotonic() - began
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, help="only these, which share the cases")
    parser.add_argument("--keep", type=Path, help="a folder for the input of the cases at fault")
    options = parser.parse_args()
    quiet()
    kinds = options.kinds or list(KINDS)
    shares = sum(KINDS[kind][1] for kind in kinds)
    faults = 0
    with tempfile.TemporaryDirectory() as place:
        for kind in kinds:
            cases = round(options.cases * KINDS[kind][1] / shares)
            outcome = run_kind(kind, cases, options.seed, Path(place), options.keep)
            print(
                f"{kind}: {outcome.cases:,} cases, {outcome.accepted:,} accepted, {outcome.refused:,} refused, "
                f"{len(outcome.faults)} faults, {outcome.seconds:.0f} s",
                *outcome.faults,
                sep="\n  ",
                flush=True,
            )
            faults += len(outcome.faults)
    forget_seeds()
    return 1 if faults else 0


def forget_seeds() -> None:
    """Removes what cases were made from."""
    for seed in (adapter_seed, model_seed):
        if seed.cache_info().currsize and (folder := seed()) is not None:
            shutil.rmtree(folder)
        seed.cache_clear()


def quiet() -> None:
    """Libraries say nothing on standard error."""
    os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    logging.disable(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
