"""Reading numbers out of responses."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.answers import NUMBER, Reading, extract_number, judge, numbers_equal, parse_number

TABLE = [
    # text, strict, flexible
    ("#### 42", "42", "42"),
    ("3+4=7\n#### 7", "7", "7"),
    ("####7", "7", "7"),
    ("#### 1,234,567", "1,234,567", "1,234,567"),
    ("#### 1,234.50", "1,234.50", "1,234.50"),
    ("#### -5", "-5", "-5"),
    ("#### +5", "+5", "+5"),
    ("#### $18.00", "$18.00", "$18.00"),
    ("#### -$3", "-$3", "-$3"),
    ("#### .5", ".5", ".5"),
    ("#### 12 apples", "12", "12"),
    ("#### The total is 9.", "9", "9"),
    ("#### 20%", "20%", "20%"),
    ("#### 5\n#### 6", "6", "6"),
    ("#### 5\nThat was easy: 6", "5", "5"),
    ("#### \n8", "8", "8"),
    ("#### none", None, None),
    ("####", None, None),
    ("", None, None),
    ("no number at all", None, None),
    ("3 + 4 = 7", None, "7"),
    ("It costs 12. Then 7 more.", None, "7"),
    ("A: 18", None, "18"),
    ("so 3+4=7\nA: 18", None, "18"),
    ("A: 18\nA: 20", None, "20"),
    ("A: eighteen", None, None),
    ("MEGA: 4 and 5", None, "5"),
    ("The answer is 7.", None, "7"),
    ("The answer is: $1,000", None, "$1,000"),
    ("the ANSWER IS 7 because 3 + 4", None, "7"),
    ("Answer: 7 (not 8)", None, "7"),
    ("The answer is 7.\n#### 8", "8", "8"),
    ("#### 8\nThe answer is 7.", "8", "7"),
    ("#### 2^10", "2^10", "2^10"),
]


@pytest.mark.parametrize(("text", "strict", "flexible"), TABLE)
def test_table(text: str, strict: str | None, flexible: str | None) -> None:
    assert extract_number(text, "strict") == strict
    assert extract_number(text, "flexible") == flexible


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3,000", 3000),
        ("$1,234.50", Fraction("1234.5")),
        ("-$3", -3),
        ("+5", 5),
        (".5", Fraction("0.5")),
        ("7.", 7),
        (" 1 000 ", 1000),
        ("£2", 2),
        ("€ 2", 2),
        ("007", 7),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["", "seven", "1/0", "nan", "inf", "-Infinity", "1.2.3", "--1", "__import__('os')", "9**9", "$"])
def test_what_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("answer", "gold", "equal"),
    [
        ("3000", "3,000", True),
        ("3,000.00", "3000", True),
        ("$18", "18.0", True),
        ("-0", "0", True),
        ("0.1", ".10", True),
        ("18", "18.01", False),
        ("-18", "18", False),
        ("0.30000000000000004", "0.3", True),  # the last digit of floating-point arithmetic
        ("0.6666666666666667", "0.6666666666666666", True),
        ("0.166666666666667", "0.16666666666666666", True),
        ("2.9999999999999996", "3", True),
        ("2.99999999", "3", False),
        ("1.0000000000001", "1", False),
        ("100000000000000001", "100000000000000002", False),
        ("12345678901234567890", "12345678901234567891", False),
        ("seven", "7", False),
        ("seven", "seven", False),
        ("7", "seven", False),
        ("1/2", "0.5", True),
        ("1 1/2", "1.5", True),
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("50", "0.5", False),
        ("0.5%", "0.5", True),
        ("5 million", "5,000,000", True),
        ("5 million", "5", True),
        ("5 million", "5 thousand", False),
        ("3 dozen", "36", True),
        ("50 cents", "$0.50", True),
        ("0.333", "1/3", True),
        ("0.334", "1/3", False),
        ("0.33", "1/3", False),
        ("66.7", "200/3", True),
        ("0.667", "2/3", True),
        ("0.666", "2/3", True),
        ("1e3", "1000", True),
        ("1.2e3", "1200", True),
        ("1.234,56", "1234.56", True),
        ("1.234", "1234", False),
        ("12,34", "1234", False),
        ("1e999999999", "1e999999999", False),
    ],
)
def test_equality_is_of_values(answer: str, gold: str, equal: bool) -> None:
    assert numbers_equal(answer, gold) is equal


@given(st.integers(-(10**12), 10**12), st.sampled_from(["strict", "flexible"]), st.text(alphabet="abc #:\n.", max_size=40))
def test_what_is_written_is_read_again(number: int, reading: str, before: str) -> None:
    for written in (f"{number}", f"{number:,}", f"{number}.00"):
        answer = extract_number(f"{before}\n#### {written}", reading)
        assert answer is not None
        assert parse_number(answer) == number


@given(st.text(max_size=300), st.sampled_from(["strict", "flexible"]))
def test_whatever_is_read_is_a_number(text: str, reading: str) -> None:
    answer = extract_number(text, reading)
    assert answer is None or (parse_number(answer) is not None)


def test_long_digits_and_long_texts_are_read_in_no_time() -> None:
    """Endless repetition is what weak models write; none of it may hang the reading."""
    assert extract_number("1," * 200_000 + "\n#### 3", "strict") == "3"
    assert extract_number("12 " * 200_000, "flexible") == "12"
    assert extract_number("#" * 100_000, "flexible") is None
    assert extract_number("####" + " " * 100_000 + "x", "strict") is None


# text, what is read of it: its value, "-" no answer, "?" ambiguous
STRICT = [
    ("#### -5", "-5"),
    ("#### −5", "-5"),
    ("####5", "5"),
    ("#### $1,234.00", "1234"),
    ("#### 1.234,56", "1234.56"),
    ("#### 3/4", "0.75"),
    ("#### 1 1/2", "1.5"),
    ("#### 1½", "1.5"),
    ("#### ½", "0.5"),
    ("#### 1e5", "100000"),
    ("#### 1.2 \\times 10^3", "1200"),
    ("#### 1.2 × 10³", "1200"),
    ("#### ４２", "42"),
    ("#### 3-5", "?"),
    ("#### 3 to 5", "?"),
    ("#### x = 5", "5"),
    ("#### 5 apples and 3 pears", "?"),
    ("#### 3:30", "?"),
    ("#### 12/25/2020", "?"),
    ("#### (5)", "5"),
    ("#### (-5)", "-5"),
    ("#### twelve", "12"),
    ("#### twenty-five apples", "25"),
    ("#### **42**", "42"),
    ("#### 5 ... wait, #### 7", "7"),
    ("#### 5\n\nQuestion: how many?\n#### 9", "5"),
    ("#### N", "-"),
    ("I'll write #### N.\nSo 4.\n#### 4", "4"),
    ('#### 4\n(as "#### N")', "4"),
    ("#### Step 1: add 3\n#### Final Answer: 42", "42"),
    ("#### Final Answer\n42", "42"),
    ("#### \\boxed{42}", "42"),
    ("#### $\\boxed{\\frac{3}{4}}$", "0.75"),
    ("#### 50%", "50"),
    ("#### 50%", "0.5"),
    ("#### 50 percent", "50"),
    ("#### 5 million", "5000000"),
    ("#### $2.5 million", "2500000"),
    ("#### 50 cents", "0.5"),
    ("#### 2 hours 30 minutes", "?"),
    ("#### 25 m^2", "25"),
    ("#### 25 m²", "25"),
    ("#### 25cm2", "25"),
    ("#### 5km", "5"),
    ("#### 5x", "?"),
    ("#### minus 5", "-5"),
    ("#### negative 5", "-5"),
    ("#### -$5", "-5"),
    ("#### $-5", "-5"),
    ("#### - 5", "-5"),
    ("#### 100,000", "100000"),
    ("#### 12,34", "?"),
    ("#### 1.2.3", "?"),
    ("#### 10 000", "10000"),
    ("#### 12,34,567", "1234567"),
    ("#### 3*4=12", "12"),
    ("#### 3 * 4", "?"),
    ("#### 12 (3 * 4)", "12"),
    ("#### 42.", "42"),
    ("#### 42!", "42"),
    ('#### "42"', "42"),
    ("#### <answer>42</answer>", "42"),
    ("#### not 5 but 7", "7"),
    ("#### 7, not 8", "7"),
    ("#### 7 or 8", "?"),
    ("#### 18 dollars for 9 eggs", "18"),
    ("#### ~42", "42"),
    ("#### ≈ 42.5", "42.5"),
    ("#### about 42", "42"),
    ("#### 5 = x", "5"),
    ("#### x = 3, y = 4", "?"),
    ("#### 42 42", "42"),
    ("#### 5th", "5"),
    ("#### 10^5", "100000"),
    ("#### 1,000,000.5", "1000000.5"),
    ("#### .5", ".5"),
    ("#### 007", "7"),
    ("#### 1/0", "?"),
    ("#### 9**9**9", "?"),
    ("#### 3 dozen", "36"),
    ("#### 10k", "10000"),
    ("#### \\$42", "42"),
    ("#### 50\\%", "50"),
    ("#### 1{,}234", "1234"),
    ("#### 1\\,234", "1234"),
    ("#### $42$", "42"),
    ("#### €5", "5"),
    ("#### 5€", "5"),
    ("#### 1.50 USD", "1.5"),
    ("#### USD 1.50", "1.5"),
    ("#### Rs. 450", "450"),
    ("#### Rs.450", "450"),
    ("#### two thirds", "2/3"),
    ("#### 2/3 cup", "2/3"),
    ("#### The total is 9.", "9"),
    ("#### 5 feet", "5"),
    ("#### 42 (forty-two)", "42"),
    ("#### forty-two (42)", "42"),
    ("#### 5 per day", "5"),
    ("#### $5/hour", "5"),
    ("#### 60 miles/hour", "60"),
    ("#### 10-year", "10"),
    ("#### √2", "?"),
    ("#### 2√3", "?"),
    ("#### 2\\sqrt{3}", "?"),
    ("#### 3π", "?"),
    ("#### -1/2", "-1/2"),
    ("#### -1 1/2", "-1.5"),
    ("#### 5 1/3", "16/3"),
    ("#### 2 + 3i", "?"),
    ("#### ±5", "?"),
    ("#### 12 hundred", "1200"),
    ("#### -0", "0"),
    ("#### +7", "7"),
    ("#### 0.333", "1/3"),
    ("#### 0.33", ".33"),
]
FLEXIBLE = [
    ("The answer is 42.", "42"),
    ("The final answer is: $\\boxed{42}$", "42"),
    ("So x = 42 for all 3 of them.", "42"),
    ("**Answer:** 42", "42"),
    ("**Final Answer**: 42 apples", "42"),
    ("Answer: First we add 3+4=7. Then 7*2 = 14.", "14"),
    ("Answer:\nFirst, 3+4=7.\nThen 7*2=14 in all.", "14"),
    ('{"reasoning": "3+4=7", "answer": "$16.00"}', "16"),
    ('{"answer": 16, "reasoning": "The answer is 3 more than 13"}', "16"),
    ('```json\n{"reasoning": "x", "answer": "1,600 dollars"', "1600"),
    ('{"reasoning": "The answer is 3, "answer": "', "3"),
    ("The answer is (42).", "42"),
    ("The answer is not 5. It is 7.", "-"),
    ("The answer to the question is 9", "9"),
    ("the answer would be $7", "7"),
    ("So the total is **$42** for 3 books.", "42"),
    ("= 42", "42"),
    ("She earns 5 * 3 = $15 a day.", "15"),
    ("A: 18", "18"),
    ("\\boxed{3} and \\boxed{5}", "?"),
    ("\\boxed{3}\n\nHmm, wait. \\boxed{5}", "5"),
    ("Therefore, there are 5.", "5"),
    ("Thus the train leaves at 3:30.", "?"),
    ("The answer is 12 apples.\n\nQ: Tom has 5 ...\nA: 5", "12"),
    ("The answer is five.", "5"),
    ("The answer is $10.50!", "10.5"),
    ("Final answer: 3.14159", "3.14159"),
    ("\\[ \\boxed{1{,}234} \\]", "1234"),
    ("The answer is: **-7**", "-7"),
    ("Answer: $\\frac{1}{2}$", "1/2"),
    ("Answer: `7`", "7"),
    ("The answer is:\n\n42", "42"),
    ("The answer is\n$$42$$", "42"),
    ("The answer is 3 + 4 = 7", "7"),
    ("The answer is between 3 and 5", "?"),
    ("It costs 3-5 dollars", "?"),
    ("answer=7", "7"),
    ("The answers are 3 and 4", "?"),
    ("The answer is 1,2", "?"),
    ("Answer: 20 people per bus", "20"),
    ("I think the answer is probably 8", "8"),
    ("So the answer must be 9 cats", "9"),
    ("\\boxed{42", "-"),
    ("\\boxed{x=7}", "7"),
    ("\\boxed{7\\text{ apples}}", "7"),
    ("\\boxed{\\$7.50}", "7.5"),
]


def answer_of(text: str, reading: Reading) -> str:
    found = NUMBER.read(text, reading)
    return found.answer or {"ambiguous": "?", "no answer": "-"}[found.reason]


@pytest.mark.parametrize(("text", "value"), STRICT)
def test_strict_statements(text: str, value: str) -> None:
    answer = answer_of(text, "strict")
    assert answer == value or numbers_equal(answer, value)


@pytest.mark.parametrize(("text", "value"), [*STRICT, *FLEXIBLE])
def test_flexible_statements(text: str, value: str) -> None:
    answer = answer_of(text, "flexible")
    assert answer == value or numbers_equal(answer, value) or (value == "-" and answer.isdigit() and "####" in text)


@given(st.integers(-(10**9), 10**9), st.integers(0, 3))
def test_a_number_in_any_writing_is_itself_and_not_its_neighbour(number: int, decimals: int) -> None:
    value = Fraction(number, 10**decimals)
    neighbour = f"{(number + 1) / 10**decimals:.{decimals}f}"
    gold = f"{number / 10**decimals:.{decimals}f}"
    plain, sign = gold.lstrip("-"), "-" if number < 0 else ""
    whole, _, rest = plain.partition(".")
    grouped = f"{int(whole):,}" + ("." + rest if rest else "")
    wide = plain.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    writings = [
        gold,
        sign + grouped,
        f"{sign}${grouped}",
        f"${sign}{plain}",
        f"{gold} apples",
        f"{gold}.",
        f"**{gold}**",
        f"$ {gold} $",
    ]
    writings += [
        gold.replace("-", "−"),
        sign + wide,
        f"({gold})",
        f"{gold} (about that)",
        f"x = {gold}",
        f"\\boxed{{{gold}}}",
        f'"{gold}"',
    ]
    writings += [
        f"{number}/{10**decimals}",
        f"{number}e-{decimals}",
        f"{number} × 10^{{-{decimals}}}",
        f"${gold}$",
        f"{gold}%",
        f"€{grouped}" if not sign else gold,
    ]
    for written in writings:
        verdict = judge(NUMBER, f"So it is.\n#### {written}", gold)
        assert verdict.right, (written, gold, verdict)
        assert not judge(NUMBER, f"#### {written}", neighbour).right, (written, neighbour)
        assert judge(NUMBER, f"The answer is {written}", gold, "flexible").right, (written, gold)
    assert parse_number(gold) == value
