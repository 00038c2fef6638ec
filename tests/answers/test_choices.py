"""Reading options out of responses."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.answers import CHOICE, ChoiceKind, judge

NUMBERS = ["A)21", "B)21.5", "C)22", "D)22.5", "E)23"]
WORDS = ["bank", "car park", "a library", "department store", "mall"]
UNITS = ["10 km", "10 m", "20 km", "None of these"]
TWINS = ["1/2", "0.5", "3/4", "0.25"]
BOTH = ["red", "green", "Both A and B", "Neither A nor B"]

# text, options, what each reading gives: a letter, "-" no answer, "?" ambiguous
TABLE = [
    ("The answer is C.", NUMBERS, "C", "C"),
    ("The answer is (C).", NUMBERS, "C", "C"),
    ("The answer is C)", NUMBERS, "C", "C"),
    ("the answer is c", NUMBERS, "C", "C"),
    ("the answer is (c)", NUMBERS, "C", "C"),
    ("The answer is **C**.", NUMBERS, "C", "C"),
    ("The answer is **(C) 22**.", NUMBERS, "C", "C"),
    ("The answer is $\\boxed{C}$.", NUMBERS, "C", "C"),
    ("The answer is \\text{C}", NUMBERS, "C", "C"),
    ("The answer is option C.", NUMBERS, "C", "C"),
    ("The correct answer is choice (C)", NUMBERS, "C", "C"),
    ("ANSWER:C", NUMBERS, "C", "C"),
    ("Answer: C. 22", NUMBERS, "C", "C"),
    ("Answer : C", NUMBERS, "C", "C"),
    ("Answer: **C**", NUMBERS, "C", "C"),
    ("**Answer: C**", NUMBERS, "C", "C"),
    ("**Answer**: C", NUMBERS, "C", "C"),
    ("Answer: $C$", NUMBERS, "C", "C"),
    ("Answer: <C>", NUMBERS, "C", "C"),
    ("Answer: [C]", NUMBERS, "C", "C"),
    ("Answer: 'C'", NUMBERS, "C", "C"),
    ("Answer:\n\nC", NUMBERS, "C", "C"),
    ("The answer is C because A is too small.", NUMBERS, "C", "C"),
    ("The answer is C, not A.", NUMBERS, "C", "C"),
    ("The answer is not A but C.", NUMBERS, "C", "C"),
    ("The answer is not A.", NUMBERS, "-", "-"),
    ("The answer is 22.", NUMBERS, "C", "C"),
    ("The answer is 22.0", NUMBERS, "C", "C"),
    ("The answer is $22", NUMBERS, "C", "C"),
    ("The answer is 22 km.", NUMBERS, "C", "C"),
    ("The answer is C) 22", NUMBERS, "C", "C"),
    ("The answer is C) 23", NUMBERS, "?", "?"),
    ("The answer is 99.", NUMBERS, "-", "-"),
    ("The answer is F.", NUMBERS, "-", "-"),
    ("The answer is A or B.", NUMBERS, "?", "?"),
    ("The answer is both A and B", NUMBERS, "?", "?"),
    ("Answer: A, C", NUMBERS, "?", "?"),
    ("The answer is A. Wait, the answer is C.", NUMBERS, "C", "C"),
    ("Answer: A\nAnswer: C", NUMBERS, "C", "C"),
    ("The answer is C.\n\nQuestion: And next?\nThe answer is D.", NUMBERS, "C", "C"),
    ("The answer is a car.", NUMBERS, "-", "-"),
    ("The answer is a bank.", WORDS, "A", "A"),
    ("The answer is a car park.", WORDS, "B", "B"),
    ("The answer is a department store", WORDS, "D", "D"),
    ("The answer is the library.", WORDS, "C", "C"),
    ("The answer is A library.", WORDS, "C", "C"),
    ("The answer is A bank.", WORDS, "A", "A"),
    ("Answer: A", WORDS, "A", "A"),
    ("Answer: A dog barks.", WORDS, "-", "-"),
    ("The answer is a bank or a mall.", WORDS, "?", "?"),
    ("The answer is mall, as people shop there.", WORDS, "E", "E"),
    ("The answer is E because I think so", WORDS, "E", "E"),
    ("The answer is I think a bank", WORDS, "-", "-"),
    ("The answer is 10 m", UNITS, "B", "B"),
    ("The answer is 10 km", UNITS, "A", "A"),
    ("The answer is 10", UNITS, "?", "?"),
    ("The answer is 20", UNITS, "C", "C"),
    ("The answer is none of these", UNITS, "D", "D"),
    ("The answer is 1/2", TWINS, "A", "A"),
    ("The answer is 0.50", TWINS, "A", "A"),
    ("The answer is B", TWINS, "B", "B"),
    ("The answer is 75%", TWINS, "C", "C"),
    ("The answer is both A and B", BOTH, "C", "C"),
    ("The answer is Neither A nor B.", BOTH, "D", "D"),
    ("The answer is green", BOTH, "B", "B"),
    ("C", NUMBERS, "-", "C"),
    ("(C)", NUMBERS, "-", "C"),
    ("C.", NUMBERS, "-", "C"),
    ("c", NUMBERS, "-", "C"),
    ("**C**", NUMBERS, "-", "C"),
    ("C) 22", NUMBERS, "-", "C"),
    ("22", NUMBERS, "-", "C"),
    ("car park", WORDS, "-", "B"),
    ("So it must be 22.\nC", NUMBERS, "-", "C"),
    ("So 44/2 = 22", NUMBERS, "-", "C"),
    ("I would pick (D).", NUMBERS, "-", "D"),
    ("I would pick B — a safe choice.", NUMBERS, "-", "B"),
    ("I would pick A book.", NUMBERS, "-", "-"),
    ("Therefore option D fits best.", NUMBERS, "-", "D"),
    ("So D is correct.", NUMBERS, "-", "D"),
    ("Hence it is D.", NUMBERS, "-", "D"),
    ("It is a large car.", NUMBERS, "-", "-"),
    ("I am sure.", NUMBERS, "-", "-"),
    ("Vitamin C and plan B help.", NUMBERS, "-", "-"),
    ("A) 21\nB) 21.5\nC) 22\nD) 22.5\nE) 23", NUMBERS, "-", "-"),
    ("Options: (A) 21 (B) 21.5 (C) 22 (D) 22.5 (E) 23", NUMBERS, "-", "-"),
    ("A) 21\nB) 21.5\nC) 22\nD) 22.5\nE) 23\n\nI choose (B).", NUMBERS, "-", "B"),
    ("A) 21\nB) 21.5\nC) 22\nD) 22.5\nE) 23\nThe answer is D.", NUMBERS, "D", "D"),
    ("Either (A) or (B).", NUMBERS, "-", "?"),
    ("People go to the department store.", WORDS, "-", "D"),
    ("People go to the bank and the mall.", WORDS, "-", "?"),
    ('{"reasoning": "A is wrong", "answer": "C"}', NUMBERS, "C", "C"),
    ("\\boxed{C}", NUMBERS, "-", "C"),
    ("\\boxed{\\text{(C)}}", NUMBERS, "-", "C"),
    ("\\boxed{\\langle H\\rangle \\ll \\Delta E}\n\n**Answer: D**", NUMBERS, "D", "D"),
    ("#### C", NUMBERS, "-", "C"),
    ("Answer: First we add, then halve.\nSo (C).", NUMBERS, "-", "C"),
    ("Answer: LETTER", NUMBERS, "-", "-"),
    ("The answer is (C).", None, "C", "C"),
    ("The answer is B because it fits", None, "B", "B"),
    ("The answer is a", None, "A", "A"),
    ("The answer is a dog", None, "-", "-"),
    ("The answer is I", None, "I", "I"),
    ("The correct option is D because A is wrong", None, "-", "D"),
    ("The choice is C, not B.", None, "-", "C"),
    ("The correct choice is B or C.", None, "-", "?"),
    ("The wrong option is B. So C is correct.", None, "-", "C"),
    ("Option C is correct because the other choice is B", None, "-", "?"),
    ("The best choice is a walk", None, "-", "-"),
    ("", NUMBERS, "-", "-"),
    ("The answer is", NUMBERS, "-", "-"),
]


@pytest.mark.parametrize(("text", "options", "strict", "flexible"), TABLE)
def test_table(text: str, options: list[str] | None, strict: str, flexible: str) -> None:
    for reading, expected in (("strict", strict), ("flexible", flexible)):
        found = CHOICE.read(text, reading, options)
        given = found.answer or {"ambiguous": "?", "no answer": "-"}[found.reason]
        assert given == expected, (reading, found)


@pytest.mark.parametrize(
    ("answer", "gold", "options", "equal"),
    [
        ("C", "C", NUMBERS, True),
        ("C", "(C)", NUMBERS, True),
        ("C", "c", NUMBERS, True),
        ("C", "22", NUMBERS, True),
        ("C", "C)22", NUMBERS, True),
        ("C", "D", NUMBERS, False),
        ("B", "car park", WORDS, True),
        ("C", "library", WORDS, True),
        ("A", "car park", WORDS, False),
        ("A", "B", TWINS, True),  # 1/2 and 0.5: two options of equal value
        ("B", "A", TWINS, True),
        ("A", "C", TWINS, False),
        ("A", "B", UNITS, False),  # 10 km and 10 m: not the same
        ("A", "A", None, True),
        ("A", "B", None, False),
        ("A", "not an option", WORDS, False),
        ("A", "B", ["50", "50%"], False),
        ("A", "B", ["0.5", "50%"], True),
        ("A", "B", ["$5", "5"], True),
    ],
)
def test_equality(answer: str, gold: str, options: list[str] | None, equal: bool) -> None:
    assert CHOICE.equal(answer, gold, options) is equal


@given(
    st.sampled_from("ABCDE"),
    st.sampled_from("ABCDE"),
    st.sampled_from(["{}", "({})", "{})", "**{}**", "option {}", "{}.", "\\boxed{{{}}}"]),
)
def test_a_letter_is_itself_and_no_other(letter: str, other: str, form: str) -> None:
    for reading in ("strict", "flexible"):
        verdict = judge(CHOICE, "We see.\nThe answer is " + form.format(letter), other, reading, WORDS)
        assert verdict.answer == letter
        assert verdict.right is (letter == other)


@given(st.lists(st.integers(-999, 999), min_size=3, max_size=6, unique=True), st.data())
def test_a_repeated_list_of_options_names_none(values: list[int], data: st.DataObject) -> None:
    options = [str(value) for value in values]
    for listing in (
        "\n".join(f"{'ABCDEF'[i]}) {o}" for i, o in enumerate(options)),
        " ".join(f"({'ABCDEF'[i]}) {o}" for i, o in enumerate(options)),
    ):
        assert CHOICE.read(listing, "flexible", options).answer is None
        letter = data.draw(st.sampled_from("ABC"))
        assert CHOICE.read(f"{listing}\n\nSo ({letter}).", "flexible", options).answer == letter
        assert CHOICE.read(f"({letter}) it is.\n{listing}", "flexible", options).answer == letter


def test_forms_that_were_asked_for() -> None:
    assert judge(ChoiceKind(form="boxed"), "The answer is A. \\boxed{B}", "B", options=WORDS).right
    assert judge(ChoiceKind(form="hashes"), "The answer is A.\n#### B", "B", options=WORDS).right
    assert judge(ChoiceKind(form="json"), '{"answer": "B"}', "B", options=WORDS).right
    assert judge(ChoiceKind(form="json"), "The answer is B", "B", options=WORDS).reason == "no answer"


@pytest.mark.parametrize("split", ["dev", "test"])
def test_all_aqua_gold_answers_are_accepted(data_dir: Path, split: str) -> None:
    """As a letter, with the option's text, as the option's text alone; and no other letter, but for options of equal value."""
    rows = [json.loads(line) for line in (data_dir / "aqua" / f"{split}.json").read_text().splitlines()]
    assert len(rows) == 254
    equal_pairs = 0
    for row in rows:
        options, gold = row["options"], row["correct"]
        text = options["ABCDE".index(gold)][2:].lstrip(". ")
        for response in (
            f"The answer is {gold}.",
            f"So, ({gold})\nThe answer is ({gold})",
            f"The answer is {gold}) {text}",
            f"The answer is {text}",
        ):
            for reading in ("strict", "flexible"):
                verdict = judge(CHOICE, response, gold, reading, options)
                assert verdict.right, (response, options, verdict)
        wrong = [
            letter for letter in "ABCDE" if letter != gold and judge(CHOICE, f"The answer is {letter}", gold, options=options).right
        ]
        equal_pairs += len(wrong)
    assert equal_pairs == {"dev": EQUAL_DEV, "test": EQUAL_TEST}[split]


EQUAL_DEV, EQUAL_TEST = 0, 4  # wrong letters whose option has the gold one's value
