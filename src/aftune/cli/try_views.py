"""What `aftune try` prints, and its asking for one question after the other."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from aftune.cli.show_views import print_side_by_side, verdict
from aftune.common.errors import UsageError
from aftune.common.progress import waiting
from aftune.common.wording import counted, one_line, visible
from aftune.pipeline.look.asking import Answers, Asker, Question, Response


def ask_again(asker: Asker, options: Sequence[str], num_samples: int, console: Console) -> None:
    """Asks for a question, a line each, until there is none: an empty line, or the end of the input."""
    at_terminal = sys.stdin.isatty()
    if at_terminal:
        console.print("Your question, in one line; an empty line ends.", style="dim")
    while True:
        if at_terminal:
            console.print("[bold]?[/bold] ", end="")
        line = sys.stdin.readline()
        if not line.strip():
            return
        try:
            print_answers(asker, Question(line.strip(), tuple(options)), num_samples, console)
        except UsageError as error:  # of this question alone
            console.print(Text(one_line(str(error)), "red"), soft_wrap=True)


def print_answers(asker: Asker, question: Question, num_samples: int, console: Console) -> None:
    """The greedy answers side by side, then what each model's samples say."""
    if asker.missing:
        console.print(Text(f"not finished yet, and not asked: {', '.join(asker.missing)}", "yellow"), soft_wrap=True)
    console.print(Text(visible(question.text), "bold"), soft_wrap=True)
    with waiting(escape(f"asking {', '.join(map(visible, asker.names.values()))}")):
        found = list(asker.ask(question, num_samples))
    print_side_by_side({answers.model: (_said(answers.greedy), answers.greedy.text) for answers in found}, console)
    for answers in found if num_samples else ():
        _print_samples(answers, console)


def _print_samples(answers: Answers, console: Console) -> None:
    votes = ", ".join(f"{number} for {visible(one_line(answer))}" for answer, number in answers.votes)
    if answers.vote is None:
        winner = "no answer could be read"
    elif len(answers.votes) > 1 and answers.votes[0][1] == answers.votes[1][1]:
        winner = f"no majority ({votes})"
    else:
        winner = f"vote {visible(one_line(answers.vote))} ({votes})"
    console.print(
        Text.assemble((visible(answers.model), "bold"), f"  {counted(len(answers.samples), 'sample')}: {winner}"), soft_wrap=True
    )
    for response in answers.samples:
        console.print(Text.assemble("  ", _said(response)), soft_wrap=True)
        console.print(Padding(Text(visible(response.text)), (0, 0, 0, 4)))


def _said(response: Response) -> Text:
    parts = [verdict(response.right, response.reason, response.answer)]
    if response.truncated:
        parts.append(Text(", cut off", "yellow"))
    if response.score is not None:
        parts.append(Text(f", score {response.score:.3f}", "cyan"))
    return Text.assemble(*parts)
