"""Which column is what, guessed."""

from typing import Any

import pytest

from aftune.tasks.columns import Columns, guess

SOLVED = "2 + 3 = 5"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [{"question": "2 + 3?", "answer": 5, "rationale": SOLVED}],
            Columns("question", "answer", "rationale", kind="number"),
        ),
        (  # names that other sets use, with capitals and a space
            [{"Problem": "2 + 3?", "Final Answer": "5", "Solution": SOLVED, "level": "1"}],
            Columns("Problem", "Final Answer", "Solution", kind="number"),
        ),
        (  # a response is the solution where there is an answer; ids are nothing
            [{"id": n, "prompt": "2 + 3?", "response": SOLVED, "target": "five apples"} for n in range(3)],
            Columns("prompt", "target", "response", kind="text"),
        ),
        (  # GSM8K: the answer column holds the solution, which states the answer
            [{"question": "2 + 3?", "answer": f"{SOLVED}\n#### 5"}],
            Columns("question", "answer", "answer", kind="number"),
        ),
        (  # MATH: no column of answers
            [{"problem": "Half?", "solution": r"It is $\boxed{\frac{1}{2}}$."}],
            Columns("problem", "solution", "solution", kind="math"),
        ),
        (  # numbers in boxes: the kind is number, in a form that is not its usual one
            [{"problem": "2 + 3?", "solution": r"It is $\boxed{5}$."}],
            Columns("problem", "solution", "solution", kind="number", form="boxed"),
        ),
        (
            [{"question": "Half?", "answer": r"\frac{1}{2}", "solution": "One of two."}],
            Columns("question", "answer", "solution", kind="math"),
        ),
        (
            [{"question": "Which?", "choices": ["pear", "plum"], "answer": "plum", "explanation": "It is blue."}],
            Columns("question", "answer", "explanation", "choices", "choice"),
        ),
        (
            [{"question": "Which?", "option_a": "pear", "option_b": "plum", "label": "B", "why": "It is blue."}],
            Columns("question", "label", "why", ["option_a", "option_b"], "choice"),
        ),
        (  # by the values alone: what asks, what ends in the answer, what is short
            [{"x": f"What is {n} + 1?", "y": f"{n} + 1 = {n + 1}", "z": str(n + 1)} for n in range(20)],
            Columns("x", "z", "y", kind="number"),
        ),
        (  # a column of answers by name is not taken for the question
            [{"id": "1", "answerKey": "A", "question": {"stem": "Which?"}}],
            Columns(None, "answerKey", None, kind="text"),
        ),
    ],
)
def test_guesses(rows: list[dict[str, Any]], expected: Columns) -> None:
    assert guess(rows) == expected


def test_a_tenth_of_odd_rows_changes_nothing() -> None:
    rows: list[dict[str, Any]] = [{"question": f"{n}?", "answer": n, "solution": f"It is {n}."} for n in range(27)]
    odd: list[dict[str, Any]] = [{"question": None, "answer": "none"}, {}, {"answer": "many", "solution": "?"}]
    assert guess(odd + rows) == Columns("question", "answer", "solution", kind="number")
    assert guess(rows[:20] + 4 * odd).kind == "text"


def test_numbers_with_units_beside_plain_ones_are_numbers() -> None:
    """Half of them are plain; units alone could be anything, such as dates."""
    answers = ["46", "2 pupils", "$5.50", "84", "7/13", "1,810"]
    assert guess([{"question": "How many?", "answer": text, "solution": f"It is {text}."} for text in answers]).kind == "number"
    assert guess([{"question": "When?", "answer": f"{day} May", "solution": "So it was."} for day in range(1, 9)]).kind == "text"


def test_names_of_another_language() -> None:
    """The answer is what the solutions end in, not the row number or the level."""
    rows = [
        {"Nr": n, "Frage": f"Was ist 7 * {n}?", "Lösungsweg": f"7 * {n} = {7 * n}", "Ergebnis": 7 * n, "Stufe": 5}
        for n in range(1, 9)
    ]
    assert guess(rows) == Columns("Frage", "Ergebnis", "Lösungsweg", kind="number")
    bare = [{"Nr": row["Nr"], "Frage": row["Frage"], "Ergebnis": row["Ergebnis"]} for row in rows]
    assert guess(bare) == Columns("Frage", "Ergebnis", None, kind="number")


def test_what_is_said_stays() -> None:
    rows = [{"question": "2 + 3?", "text": "Add.", "answer": 5, "solution": SOLVED}]
    assert guess(rows, Columns(question="text"), "text") == Columns("text", "answer", "solution", kind="text")


def test_options_for_the_task_are_those_that_are_known() -> None:
    assert Columns("q", "a", "r", ["A", "B"], "choice").task_options() == {
        "question": "q",
        "answer": "a",
        "rationale": "r",
        "options": ["A", "B"],
        "answer_kind": "choice",
    }
    assert Columns("q", "s", "s", kind="number", form="boxed").task_options()["form"] == "boxed"
