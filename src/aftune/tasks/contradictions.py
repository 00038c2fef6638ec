"""Whether a rationale itself comes to an answer other than the gold one: "8 + 8 = 16" where the gold answer is 9999.

Only what is certain counts. A rationale states its answer in the format that is asked for, in words ("the answer is 16"), or,
where it calculates, in a last line that ends in a result. That line is no evidence where it also holds the gold value, in digits
or in words, or a value that differs from it only by rounding, in sign or by a factor of a hundred (cents, percent): people write
down only part of a last step.
"""

import re
from fractions import Fraction

from aftune.answers import NUMBER, AnswerKind, judge, parse_number
from aftune.answers.number_words import words_to_number
from aftune.answers.statements import any_format, asked_for
from aftune.records import Problem

# A line that ends in the result of a calculation, by kind of answer; in mathematics x = 3 may be a step, so what has letters before
# the sign is not a calculation there.
_RESULTS = {
    "number": re.compile(r"=[^=\n]*\d[^=\n]*$"),
    "math": re.compile(r"(?:^|[\s$(])[^A-Za-z=\n]*\d[^A-Za-z=\n]*=\s*\$?-?\d[\d.,/]*\W*$"),
}
_NEVER = re.compile(r"(?!)")
_NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:/[0-9]+)?")


def contradiction(kind: AnswerKind, problem: Problem, rationale: str) -> str | None:
    """What the rationale comes to instead of the gold answer, as a sentence; None where it does not, or that is not certain.

    A line `#### N` may follow the working, as in GSM8K; a statement in another format is part of the working.
    """
    verdict = judge(kind, rationale, problem.gold_answer, "strict", problem.options)
    if verdict.reason == "different":
        return _sentence(verdict.answer, problem)
    if kind.name == "text" and parse_number(problem.gold_answer) is not None:  # also where other questions' answers are words
        return contradiction(NUMBER, problem, rationale)
    final = asked_for(rationale, kind.form)
    if final is not None and kind.form != "hashes":
        return None
    working = (rationale if final is None else rationale[: final.start]).rstrip()
    line = working.rsplit("\n", 1)[-1]
    stated = final is None and bool(any_format(working, line_marker=True))
    gold = parse_number(problem.gold_answer)
    if not stated and (gold is None or not _RESULTS.get(kind.name, _NEVER).search(line)):
        return None
    said = working if stated else line[line.rindex("=") + 1 :]
    verdict = judge(kind, said, problem.gold_answer, "flexible", problem.options)
    if verdict.reason != "different" or (gold is not None and any(_near(value, gold) for value in _values(line))):
        return None
    return _sentence(verdict.answer, problem)


def _values(line: str) -> list[Fraction]:
    found = [parse_number(text) for text in _NUMBER.findall(line)]
    words = [words_to_number(word) for word in re.findall(r"[A-Za-z]+", line)]
    return [value for value in (*found, *words) if value is not None]


def _near(value: Fraction, gold: Fraction) -> bool:
    return any(abs(abs(value * factor) - abs(gold)) < 1 for factor in (1, 100)) or abs(value) == 100 * abs(gold)


def _sentence(answer: str | None, problem: Problem) -> str:
    return f"the rationale comes to {answer}, the gold answer is {problem.gold_answer}"
