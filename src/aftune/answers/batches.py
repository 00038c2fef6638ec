"""Many verdicts at once, in the order of the answers, whatever the time that each one takes."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from aftune.answers.checker import Checker
from aftune.answers.expressions import MathKind
from aftune.answers.verdicts import AnswerKind, Reading, Verdict, judge
from aftune.common.progress import progress_bar


@dataclass(frozen=True, slots=True)
class Question:
    """A response with what it is judged by."""

    text: str
    gold: str
    options: Sequence[str] | None = None


def judge_many(
    kind: AnswerKind,
    questions: Iterable[Question],
    reading: Reading = "strict",
    num_workers: int = 2,
    on_progress: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """The verdict of each question, in their order, with a progress bar; `on_progress` takes the number done in its place.

    Only answers of kind math use worker processes, `num_workers` of them; those end with the call.
    """
    items = list(questions)
    if on_progress is not None:
        return _judge_all(kind, items, reading, num_workers, on_progress)
    with progress_bar("verify", len(items), "answers") as show:
        return _judge_all(kind, items, reading, num_workers, show)


def _judge_all(
    kind: AnswerKind, items: Sequence[Question], reading: Reading, num_workers: int, show: Callable[[int], None]
) -> list[Verdict]:
    if not isinstance(kind, MathKind):
        verdicts = []
        for done, item in enumerate(items, 1):
            verdicts.append(judge(kind, item.text, item.gold, reading, item.options))
            if done % 1000 == 0:
                show(done)
        show(len(items))
        return verdicts
    return _in_threads(kind, items, reading, num_workers, show)


def _in_threads(
    kind: MathKind, items: Sequence[Question], reading: Reading, num_workers: int, show: Callable[[int], None]
) -> list[Verdict]:
    """A thread a worker process; each takes the next answer when its process is free."""
    results: list[Verdict | None] = [None] * len(items)
    errors: list[BaseException] = []
    waiting = iter(range(len(items)))
    lock = threading.Lock()
    done = 0

    def work() -> None:
        nonlocal done
        with Checker() as checker:
            own = replace(kind, checker=checker)
            while True:
                with lock:
                    index = None if errors else next(waiting, None)
                if index is None:
                    return
                item = items[index]
                try:
                    results[index] = judge(own, item.text, item.gold, reading, item.options)
                except BaseException as error:
                    errors.append(error)
                    return
                with lock:
                    done += 1
                    show(done)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, min(num_workers, len(items))))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [verdict for verdict in results if verdict is not None]
