"""Equations of chains of thought, as people and models write them."""

import json
import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.answers.equations import Equation, equations, read_equations, results

TABLE = [
    # text, its equations, the values after its equals signs
    ("48/2 = 24", ["48/2=24"], [24]),
    ("3 + 4 = 7 apples", ["3+4=7"], [7]),
    ("<<48/2=24>>24", ["48/2=24"], [24]),
    ("$5 x 3 = $15", ["5*3=15"], [15]),
    ("She paid $20 - $10 = $10. Then $3+$4=$7!", ["20-10=10", "3+4=7"], [10, 7]),
    ("7 stickers/page * 6 pages= 42 stickers", ["7*6=42"], [42]),
    ("at $6/hour that is $6/hour * 2 hours = $12", ["6*2=12"], [12]),
    ("a 120-page book: 120-30 = 90", ["120-30=90"], [90]),
    ("1,148 × 010.50 = 12,054.00", ["1148*10.5=12054"], [12054]),
    ("220 – 22 = 198, 9 ÷ 3 = 3, 2 · 3 = 6, 2**3 = 8, 2^3=8", ["220-22=198", "9/3=3", "2*3=6", "2^3=8", "2^3=8"], [198, 3, 6, 8]),
    ("8 plus 16 equals 24, 6 divided by 3 equals 2", ["8+16=24", "6/3=2"], [24, 2]),
    ("a total of 7*2 = 14", ["7*2=14"], [14]),
    ("20% of 50 = 10 and 100% - 20% = 80%", ["20%*50=10", "100%-20%=80%"], [10, 80]),
    ("0.50 * .5 = .25", ["0.5*0.5=0.25"], [Fraction(1, 4)]),
    ("6/6 - 1/6 = 5/6", ["6/6-1/6=5/6"], [Fraction(5, 6)]),
    ("7 - 12 = -5 and 5 - -3 = 8", ["7-12=-5", "5--3=8"], [-5, 8]),
    ("3 - 10 = -$7", ["3-10=-7"], [-7]),
    ("- 3 + 4 = 7", ["3+4=7"], [7]),  # a list's dash
    ("1. 3 + 4 = 7\n2) 7 * 2 = 14", ["3+4=7", "7*2=14"], [7, 14]),
    ("(3+4) * 2 = 14 is not 3+4 * 2 = 11", ["(3+4)*2=14", "3+4*2=11"], [14, 11]),
    ("((3+4)) = (7)", ["3+4=7"], [7]),
    ("two packs (2 * 3 = 6 dollars) more", ["2*3=6"], [6]),
    ("66(1/3) = 22", ["66*(1/3)=22"], [22]),
    ("2*(3+4) = 2*7 = 14", ["2*(3+4)=2*7", "2*7=14"], [14]),
    ("Total = 3 + 4 = 7", ["3+4=7"], [7]),
    ("10/3 ≈ 3.33", ["10/3=3.33"], [Fraction(333, 100)]),
    ("16 - 3\n   = 13 apples\n5", ["16-3=13"], [13]),
    ("16 - 3\n13 = 13", [], [13]),
    ("E + E - 5 = 37\n2E = 42\nE = 21", ["e+e-5=37"], [37, 42, 21]),
    ("The total is = 45", [], [45]),
    ("12 * 3 = 36m^2", ["12*3=36"], [36]),
    ("**3 * 4 = 12**", ["3*4=12"], [12]),
    (r"\(3 \times 4 = 12\) and \$5 \cdot 2 = \$10", ["3*4=12", "5*2=10"], [12, 10]),
    ("3 >= 2, x <= 5, 4 != 5", [], []),
    ("5 * price + 3 = 20", [], [20]),  # 3 = 20 would be another equation
    ("3 + = 7", [], [7]),
    ("4/0 = 1/0", ["4/0=1/0"], []),
    ("3 + 4 =", [], []),
    ("", [], []),
    ("9" * 50 + " + 1 = 2", [], [2]),  # run-on digits
    ("2 + 1 = " + "9" * 50, [], []),
]


@pytest.mark.parametrize(("text", "expected", "values"), TABLE)
def test_table(text: str, expected: list[str], values: list[Fraction]) -> None:
    assert list(equations(text)) == expected
    assert results(text) == set(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16 - 3 = <<16-3=13>>13 eggs", ["16-3=13"]),
        ("16 - 3 = $<<16-3=13>>13, 13*2 = <<13*2=26.0>>26", ["16-3=13", "13*2=26"]),
        ("5 bags of 3 = <<5*3=15>>15", ["5*3=15"]),  # the annotation is what the words mean
        ("She has <<3+4=7>>7 apples", ["3+4=7"]),
        ("5*3 = <<5*3=15>>15 + 2 = <<15+2=17>>17", ["5*3=15", "15+2=17"]),
        ("134+1 = <<134=134>>135", ["134+1=135"]),  # annotations that compute nothing are only markup
        ("6*2 = <<>>12", ["6*2=12"]),
        ("6*2 = 12 <<", ["6*2=12"]),
    ],
)
def test_annotations_stand_for_what_is_before_them(text: str, expected: list[str]) -> None:
    assert list(equations(text)) == expected


def test_sides_and_results() -> None:
    assert list(read_equations("x = 21, 3+4 = 7 and 40% = 2/5")) == [Equation("", "21"), Equation("3+4", "7"), Equation("", "2/5")]
    assert Equation("", "40%").result == 40
    assert Equation("", "1/3/2").result is None
    assert Equation("", "2*7").result is None


NUMBERS = st.integers(0, 99_999) | st.decimals(0, 999, places=2)
SIGNS = {"*": ["*", " x ", "×", " * ", " times "], "/": ["/", " ÷ ", " / "], "+": ["+", " + "], "-": ["-", " - ", "−", " – "]}


@given(st.lists(st.tuples(NUMBERS, st.sampled_from("+-*/")), min_size=2, max_size=6), NUMBERS, st.data())
def test_one_equation_however_it_is_written(terms: list[tuple[object, str]], result: object, data: st.DataObject) -> None:
    """Two writings, with signs, currency, thousands separators and units drawn apart, are read as the same equation."""

    def write(number: object) -> str:
        text = format(number, data.draw(st.sampled_from(["", ","])))
        return data.draw(st.sampled_from(["", "$", "$ "])) + text + data.draw(st.sampled_from(["", " apples", " miles/hour"]))

    def written() -> str:
        parts = [write(number) + data.draw(st.sampled_from(SIGNS[sign])) for number, sign in terms[:-1]]
        return "So " + "".join(parts) + write(terms[-1][0]) + data.draw(st.sampled_from(["=", " = ", "= ", "\n= "])) + write(result)

    first, second = equations(written()), equations(written())
    assert first == second
    assert len(first) == 1
    assert equations(first[0]) == first  # the normal form is its own
    assert [Fraction(value) for value in re.split(r"[-+*/=]", first[0])] == [Fraction(str(n)) for n, _ in terms] + [
        Fraction(str(result))
    ]


@given(st.text(max_size=200) | st.text(alphabet="0123456789.,=+-*/x×%()<>$ \nab^\\", max_size=200))
def test_any_text_is_read(text: str) -> None:
    for equation in read_equations(text):
        assert equation.right
        assert not set(equation.left + equation.right) & set(" \n=$<>")
        value = equation.result
        assert value is None or isinstance(value, Fraction)


def test_nothing_is_evaluated() -> None:
    assert equations("9**9**9**9 = 1") == ("9^9^9^9=1",)
    assert equations("__import__('os').system('x') = 1 + 1 = 2") == ("1+1=2",)


HOSTILE: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "(" * n + "1+1" + ")" * n + "=2",
    "open brackets": lambda n: "((1+1)=2" * n,
    "long sum": lambda n: "1+" * n + "1=2",
    "many equations": lambda n: "1=1" * n,
    "annotations that never close": lambda n: "=   <<" * n,
    "equals and currency": lambda n: "=  $ " * n,
    "blank lines": lambda n: "\n" * n + "=1",
    "digits": lambda n: "9" * n + "=9",
    "thousands": lambda n: "1,111," * n,
    "letters": lambda n: "x" * n,
    "x and brackets": lambda n: "x(" * n,
    "x and spaces": lambda n: "x  " * n,
    "times": lambda n: "times " * n,
    "hyphens": lambda n: "a-" * n,
    "stars": lambda n: "*" * n,
    "points": lambda n: "1.1." * n,
    "spaces": lambda n: "1" + " " * n + "+" + " " * n + "1 = 2",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length_only(name: str) -> None:
    """Ten times the text takes ten times as long, not a hundred times."""

    def seconds(n: int) -> float:
        text = HOSTILE[name](n)
        started = time.process_time()
        equations(text)
        return time.process_time() - started

    assert min(seconds(120_000) for _ in range(2)) < 30 * min(seconds(12_000) for _ in range(3)) + 0.1


def test_real_references(data_dir: Path) -> None:
    """GSM8K's 7,473 training references without their annotations, against what the annotations say.

    23,033 of 23,094 annotated results are found in the text (the others stand in words); 6,862 references give the same
    equations with and without their annotations (the others write 40*15/100 for 15/100*$40, or compute in words).
    """
    annotation = re.compile(r"<<([^<>]*)>>")
    num_results = num_found = num_same = num_without = 0
    for line in (data_dir / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)["answer"]
        plain = annotation.sub("", answer)
        annotated = set()
        for content in annotation.findall(answer):
            try:
                annotated.add(Fraction(content.rpartition("=")[2].strip().replace(",", "")))
            except ValueError:
                continue  # <<1/3=.3333333...>> and the like
        found = results(plain)
        num_results += len(annotated)
        num_found += len(annotated & found)
        num_same += equations(answer) == equations(plain)
        num_without += not found
    assert (num_results, num_found, num_same, num_without) == (23_094, 23_033, 6_862, 3)
