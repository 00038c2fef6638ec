"""Parsing LaTeX in two stages gives what parsing it in the general mode gives."""

import pytest

pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'aftune[math]'")

from antlr4.atn.PredictionMode import PredictionMode
from latex2sympy2_extended import latex2sympy, latex2sympy2

from aftune.answers import symbolic

TEXTS = [
    r"x^2+3x-4",  # the fast mode finds an error here
    r"\frac{\sqrt{2}}{2}",
    r"(x+2)(x-1)",
    r"[2, \infty)",
    r"\{1, 2\}",
    r"x > 3",
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
    r"3+2i",
    r"\log_2 8",
    r"e^{x} \sin^2 y",
    r"1,000",
    r"\binom{5}{2}",
    r"\int_0^1 x dx",
]


def test_the_fast_mode_comes_first_and_the_result_is_that_of_the_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[PredictionMode] = []
    create = latex2sympy2._Latex2Sympy.create_parser

    def noted(self: object, text: str) -> object:
        parser = create(self, text)
        modes.append(parser._interp.predictionMode)
        return parser

    monkeypatch.setattr(latex2sympy2._Latex2Sympy, "create_parser", noted)
    found = [latex2sympy(text) for text in TEXTS]
    assert modes[:3] == [PredictionMode.SLL, PredictionMode.LL, PredictionMode.SLL]
    assert modes.count(PredictionMode.SLL) == len(TEXTS)

    def general(self: object, text: str) -> object:
        parser = create(self, text)
        parser._interp.predictionMode = PredictionMode.LL
        return parser

    monkeypatch.setattr(latex2sympy2._Latex2Sympy, "create_parser", general)
    assert [latex2sympy(text) for text in TEXTS] == found


@pytest.mark.parametrize("text", ["x^{", r"\frac{1}"])
def test_what_neither_mode_parses_is_an_error(text: str) -> None:
    with pytest.raises(Exception, match=r"expected|understand"):
        latex2sympy(text)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (r"(x+2)(x-1)", "x^2+x-2", True),
        (r"\sin^2 x", r"1-\cos^2 x", True),
        (r"\frac{1}{\sqrt{7}}", r"\frac{\sqrt{7}}{7}", True),
        (r"(x+2)^2", "x^2+x-2", False),
        ("2x", "2y", False),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False),
        (r"\frac{x}{1000}", r"\frac{x}{1001}", False),
    ],
)
def test_values_at_a_few_points_decide_without_a_simplification(
    monkeypatch: pytest.MonkeyPatch, left: str, right: str, equal: bool
) -> None:
    decided_by_math_verify = []
    verify = symbolic.verify

    def noted(*arguments: object, **options: object) -> bool:
        decided_by_math_verify.append(arguments)
        return verify(*arguments, **options)

    monkeypatch.setattr(symbolic, "verify", noted)
    assert symbolic.compare(left, right) is equal
    # 1/1000 and 1/1001 are as close as roundings are, and other symbols have no point in common: left to math-verify.
    close = r"\frac{x}{1000}", r"\frac{1}{2004!}"
    assert bool(decided_by_math_verify) == (left == "2x" or (left in close and not equal and "x" in left))
