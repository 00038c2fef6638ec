"""Mathematics in LaTeX."""

import pytest

from aftune.answers import MATH, MathKind, judge

pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'aftune[math]'")

# answer, gold, equal
TABLE = [
    (r"\frac{1}{2}", "0.5", True),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", False),
    ("n=2, 3, 4", "n=1, 2, 3", False),
    ("D = (0, 1)", "D = (0, 1.5)", False),
    (r"19, 46, \text{ and } 82", "21, 36, and 82", False),
    (r"1 - \frac{1}{\mathrm{e}}", r"1 + \frac{1}{\mathrm{e}}", False),
    (r"1 - \frac{1}{\mathrm{e}}", "1-1/e", True),
    (r"\frac{2^{2005}+1}{3 \cdot 2^{2006}}", r"\frac{1}{3 \cdot 2^{2006}}", False),
    (r"\pm 2021", "2021", False),
    ("12:00", "1:00", False),
    (r"1, 2, \ldots, n", r"1, 3, 5, \ldots, 2n-1", False),
    (r"1:2:3:\ldots", r"1:4:9:\ldots", False),
    ("4", r"4\sqrt(2)", False),
    (r"4\sqrt2", r"4\sqrt(2)", True),
    (r"\sqrt{1/n}", r"\frac{1}{\sqrt{n}}", True),
    ("|x|", "x", False),
    ("3x-y+13=0", "3x+4y+14=0", False),
    ("-34x-45y+20z-100=0", "34x+45y-20z+100=0", True),
    ("2x+4y-3=0", r"y = -\frac{1}{2}x + \frac{3}{4}", True),
    ("0.0833333333333333", r"\frac{1}{12}", True),
    ("(1,4.5)", r"(1,\frac{9}{2})", True),
    (r"\frac{x}{7}+\frac{2}{7}", r"\frac{x+2}{7}", True),
    (r"\sec^2(y)", r"\tan^2(y)+1", True),
    (r"\frac{100}{3}", "33.3", True),
    (r"\begin{pmatrix}-\frac{7}{4}&-2\\4&\frac{1}{4}\end{pmatrix}", r"\begin{pmatrix}-1.75&-2\\4&0.25\end{pmatrix}", True),
    (r"\frac{0.5a}{b}/0.5", r"2\frac{a}{2b}", True),
    (r"(3, \frac{\pi}{2})", r"\left( 3, \frac{\pi}{2} \right)", True),
    (r"0.5 + \frac{\pi}{8}", r"\pi \div 8 + 1 \div 2", True),
    (r"\text{13}", "13", True),
    (r"\text{Evelyn}", "Evelyn", True),
    (r"\text{(B)}", "B", True),
    ("(B)", r"\text{B}", True),
    (r"50\%", "50", True),
    (r"50\%", "0.5", True),
    (r"\$18.90", "18.9", True),
    (r"1,\!000", "1000", True),
    ("10{,}000", "10000", True),
    (r"90^\circ", "90", True),
    (r"5\text{ cm}", "5", True),
    (r"5\text{ cm}^2", "5", True),
    ("x=5", "5", True),
    (r"x \in [1,2]", "[1,2]", True),
    ("[0,1)", "(0,1)", False),
    ("(1,2)", "(2,1)", False),
    ("1,2", "2,1", True),
    (r"\{1,2,3\}", r"\{3,2,1\}", True),
    ("2516_8", "2516_{8}", True),
    ("2516_8", "2516", True),
    ("11_2", "11_3", False),
    (r"\frac12", "1/2", True),
    (r"\dfrac{3}{4}", r"\frac34", True),
    (r"3\frac{1}{2}", "3.5", True),
    (r"3\frac12", r"\frac72", True),
    ("(x+1)(x-2)", "x^2-x-2", True),
    ("(x+1)(x-2)", "x^2-x+2", False),
    (r"\infty", r"-\infty", False),
    (r"(-\infty,2]\cup[3,\infty)", r"[3,\infty)\cup(-\infty,2]", True),
    (r"\sqrt{x^2}", "x", False),
    ("5!", "120", True),
    (r"\log_2 8", "3", True),
    ("x<5", r"x\le5", False),
    ("a", "b", False),
    ("E", "e", False),
    ("x > 2", r"(2,\infty)", True),
    ("10^{100}", "10^{100}+1", False),
    ("y=2x+1", "2x+1", True),
    ("y=2x+1", "y=2x+2", False),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", True),
    (r"2\sqrt{3}+3", r"3+2\sqrt 3", True),
    (r"\text{even}", r"\text{odd}", False),
    (r"\text{ June 20}", "June 20", True),
    ("1+2i", "2i+1", True),
    ("1+2i", "1-2i", False),
    ("x^2+y^2=1", "1=x^2+y^2", True),
    (".5", "0.5", True),
    (r"-\frac{1}{3}", r"\frac{-1}{3}", True),
    (r"-\frac{1}{3}", r"\frac{1}{-3}", True),
    (r"\frac{1}{3}", "0.33", False),
    (r"\frac{1}{3}", "0.333", True),
    ("6.28", r"2\pi", False),
    ("3.14159", r"\pi", False),
    (r"(5,\infty)", "x>5", True),
    (r"\emptyset", r"\{\}", True),
    ("1", "1.0001", False),
    ("1234567", "1234568", False),
    ("0.000001", "0.000002", False),
    (r"\boxed{5}", "5", True),
    ("$5$", "5", True),
    (r"5 \text{ or } 6", "5,6", True),
    (r"\tan x", r"\frac{\sin x}{\cos x}", True),
    (r"\binom{5}{2}", "10", True),
    (r"\lfloor 3.7\rfloor", "3", True),
    ("2^{10}", "1024", True),
    (r"\frac{d}{2}", "d/2", True),
    (r"1\frac{1}{2}", r"\frac{11}{2}", False),
    ("AB", "BA", False),
    (r"\text{yes}", "Yes", True),
    ("p-q", "q-p", False),
    ("[-1, 1]", r"-1\le x\le 1", True),
    (r"0.\overline{3}", r"\frac{1}{3}", True),
    (r"-\infty", "5", False),
    (r"-\infty", r"\sqrt{2}", False),
    (r"\infty", "5", False),
    (r"-\infty", r"\infty", False),
    ("-inf", r"-\infty", True),
    ("nan", "5", False),
    (r"\frac{1}{0}", "5", False),
    (r"\frac{1}{0}", r"\sqrt{2}", False),
    (r"0.1\overline{6}", r"\frac{1}{6}", True),
    (r"-2.\overline{09}", r"-\frac{207}{99}", True),
    (r"0.\overline{36}", "0.36", False),
    (r"\emptyset", r"\varnothing", True),
    (r"\{\}", r"\emptyset", True),
    (r"\{\}", r"\{0\}", False),
    (r"14\ \mathrm{m/s}", "14", True),
    (r"\frac{1}{2}\,\operatorname{kg}", "0.5", True),
    (r"2\operatorname{arctan}{x}", "2", False),
]


@pytest.mark.parametrize(("answer", "gold", "equal"), TABLE)
def test_table(answer: str, gold: str, equal: bool) -> None:
    assert MATH.equal(answer, gold) is equal
    assert MATH.equal(gold, answer) is equal


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        (r"So \boxed{\frac{3}{4}}.", r"\frac{3}{4}", r"\frac{3}{4}"),
        (r"First \boxed{1}, but then: \boxed{2}", "2", "2"),
        (r"\boxed{1} and \boxed{2}", "1, 2", "1, 2"),
        (r"\boxed{x^{2^{3}}}", "x^{2^{3}}", "x^{2^{3}}"),
        (r"\fbox{7}", "7", "7"),
        (r"\boxed 7", "7", "7"),
        (r"\boxed{7}" + "\n\nQuestion: next?\n" + r"\boxed{8}", "7", "7"),
        ("The answer is $x^2$.", None, "x^2"),
        ("Final Answer: The final answer is $x^2$. I hope it is correct.", None, "x^2"),
        ("So $a = b = 7$", None, "7"),
        ("x = 7", None, "7"),
        (r"\boxed{", None, None),
        (r"\boxed{}", None, None),
        (r"\boxed{your answer}", None, None),
        ("", None, None),
    ],
)
def test_reading(text: str, strict: str | None, flexible: str | None) -> None:
    assert MATH.read(text, "strict").answer == strict
    assert MATH.read(text, "flexible").answer == flexible


def test_an_endless_comparison_is_timed_out_and_the_next_one_is_not() -> None:
    verdict = judge(MATH, r"\boxed{10^{-10^{10}}x}", r"\sqrt{5}x")
    assert (verdict.right, verdict.reason) == (False, "timed out")
    assert judge(MATH, r"\boxed{\sqrt{20}/2}", r"\sqrt{5}").reason == "matched"


def test_numbers_and_equal_texts_start_no_worker() -> None:
    class Forbidden:
        def equal(self, answer: str, gold: str) -> bool:
            raise AssertionError("a worker was asked")

    kind = MathKind(checker=Forbidden())  # type: ignore[arg-type]
    assert judge(kind, r"\boxed{\frac{1}{2}}", "0.5").right
    assert judge(kind, r"\boxed{ x + 1 }", "x+1").right
    assert judge(kind, r"\boxed{\text{even}}", "odd").reason == "different"
    assert judge(kind, r"\boxed{" + "7" * 3000 + "}", "7").reason == "no answer"
