"""What `aftune show` prints: a list of problems, or one with its candidates and answers."""

import shlex
import string
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aftune.common.wording import counted, one_line, visible
from aftune.pipeline.look.reading import Reading, Shown

_LONG = 600  # characters: longer answers stand below each other
_NARROW = 22  # columns


def print_list(reading: Reading, run: Path, limit: int, console: Console) -> None:
    """A line for each problem: how many candidates are right, which models answer it right, and its question, cut short."""
    problems = reading.problems
    if not problems:
        console.print("No problem fits.")
        return
    shown = problems[:limit] if limit else problems
    greedy = [name for name in reading.names if any(name in one.greedy for one in shown)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column("problem", overflow="fold")
    table.add_column("part", no_wrap=True)
    table.add_column("right", justify="right", no_wrap=True)
    for name in greedy:
        table.add_column(Text(reading.names[name]), no_wrap=True)
    table.add_column("question", no_wrap=True, overflow="ellipsis", ratio=1)
    for one in shown:
        marks = (verdict_mark(one.greedy[name].right) if name in one.greedy else Text("") for name in greedy)
        table.add_row(_line(one.problem.id), Text(one.part), _counts(one), *marks, _line(one.problem.question))
    console.print(Text(reading.recipe.title, "bold"), Text(f"{counted(len(problems), 'problem')}, mixed ones first"))
    console.print(table)
    if len(shown) < len(problems):
        console.print(f"and {len(problems) - len(shown):,} more; --limit 0 lists all", style="dim")
    word = " ".join(shlex.quote(visible(one_line(text))) for text in (str(run), shown[0].problem.id))
    console.print(Text(f"one of them: aftune show {word}", "dim"), soft_wrap=True)


def _counts(one: Shown) -> Text:
    if one.group is None:
        return Text("-")
    right = sum(quality > 0 for quality in one.group.qualities)
    return Text(f"{right} of {len(one.group.candidates)}", "bold" if one.is_mixed else "dim")


def print_problem(reading: Reading, run: Path, console: Console) -> None:
    """A problem with its gold answer, the greedy answers side by side, and each candidate with its verdict and scores."""
    for one in reading.problems:
        problem = one.problem
        heading = Text.assemble(
            (visible(one_line(problem.id)), "bold"), f"  {one.part}, ", Text(visible(reading.recipe.title), "dim")
        )
        console.print(heading, soft_wrap=True)
        _print_block("question", problem.question, console)
        for letter, option in zip(string.ascii_uppercase, problem.options or (), strict=False):
            _print_block("", f"({letter}) {option}", console)
        _print_block("gold answer", problem.gold_answer, console)
        if problem.rationale is not None:
            _print_block("reference", problem.rationale, console)
        if one.greedy:
            console.print(Text("greedy answers", "bold"))
            answers = {
                reading.names[name]: (verdict(answer.right, answer.reason, answer.answer), answer.text)
                for name, answer in one.greedy.items()
            }
            print_side_by_side(answers, console)
        _print_candidates(one, reading, console)
        console.print()


def _print_candidates(one: Shown, reading: Reading, console: Console) -> None:
    if one.group is None:
        console.print("No candidate was kept; left_out.jsonl says why.")
        return
    names = {name: label for name, label in reading.names.items() if name in one.scores}
    before = f"; score, nats per token: {', '.join(names.values())}" if names else "; their scores: --score, which loads the models"
    console.print(Text.assemble(("candidates", "bold"), before))
    for place, candidate in enumerate(one.group.candidates):
        console.print(_heading(one, place, names, ranked=reading.ranked), soft_wrap=True)
        console.print(Padding(Text(visible(candidate.text)), (0, 0, 0, 4)))
    indices = {candidate.index for candidate in one.group.candidates}
    if missing := sorted(set(range(max(indices, default=-1) + 1)) - indices):
        console.print(f"left out: {', '.join(map(str, missing))} (left_out.jsonl says why)", style="dim", soft_wrap=True)


def _heading(one: Shown, place: int, names: Iterable[str], *, ranked: bool) -> Text:
    """`2  wrong (different): 12, cut off  -0.281  -0.137`: a candidate's verdict, and its score under each model."""
    assert one.group is not None
    candidate, feedback = one.group.candidates[place], one.group.feedback[place]
    parts = [Text(f"  {candidate.index}  "), verdict(feedback.quality > 0, feedback.reason, feedback.answer)]
    if ranked and feedback.rank is not None:
        parts.append(Text(f", rank {feedback.rank:g}"))
    if feedback.detail:
        parts.append(Text(f" ({visible(one_line(feedback.detail))})"))
    if candidate.finish_reason == "length":
        parts.append(Text(", cut off", "yellow"))
    if candidate.source:
        parts.append(Text(f", from {visible(one_line(candidate.source))}"))
    parts.append(Text("".join(f"  {one.scores[name][place]:.3f}" for name in names), "cyan"))
    return Text.assemble(*parts)


def verdict_mark(right: bool) -> Text:
    return Text("right", "green") if right else Text("wrong", "red")


def verdict(right: bool | None, reason: str, answer: str | None) -> Text:
    """`right: 17`, `wrong (different): 12`, `wrong (no answer)`; without a verdict the answer alone."""
    said = "" if answer is None else visible(one_line(answer))
    if right is None:
        return Text(f"answer {said}") if said else Text(f"({visible(one_line(reason))})", "yellow")
    why = "" if reason == "matched" else f" ({visible(one_line(reason))})"
    return Text.assemble(verdict_mark(right), f"{why}{': ' if said else ''}{said}")


def print_side_by_side(answers: Mapping[str, tuple[Text, str]], console: Console) -> None:
    """The answers of models by their names, each with what is said of it: in columns, or where they are too long for that, below
    each other."""
    width = console.width // max(1, len(answers)) - 2
    texts = {name: Text(visible(text)) for name, (_, text) in answers.items()}
    if width < _NARROW or max(map(len, texts.values()), default=0) > _LONG:
        for name, (said, _) in answers.items():
            console.print(Text.assemble("  ", (name, "bold"), "  ", said), soft_wrap=True)
            console.print(Padding(texts[name], (0, 0, 0, 4)))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), expand=len(answers) > 1)
    for name in answers:
        table.add_column(Text(name), ratio=1, overflow="fold")
    table.add_row(*(said for said, _ in answers.values()))
    table.add_row(*texts.values())
    console.print(table)


def _print_block(title: str, text: str, console: Console) -> None:
    if title:
        console.print(Text(title, "bold"))
    console.print(Padding(Text(visible(text)), (0, 0, 0, 2)))


def _line(text: str) -> Text:
    return Text(visible(one_line(text)))
