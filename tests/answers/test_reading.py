"""Flexible and strict readings: what stands around an answer, and answers that are said in more words."""

from collections.abc import Sequence

import pytest

from aftune.answers import CHOICE, MATH, NUMBER, TEXT, AnswerKind, NumberKind, TextKind, judge

pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'aftune[math]'")

OPTIONS = ["farm", "road", "shop", "big city"]
STORY = "then the story goes on and on " * 25

# kind, response, gold, reason of the flexible reading
MATH_TABLE = [
    ("Final Answer: The largest $n$ is 34.", "34", "matched"),
    ("The final answer is: the maximum value of $f(x)$ is $\\frac{3}{4}$.", "\\frac34", "matched"),
    ("The answer is $x=3$ or $x=5$.", "3,5", "matched"),
    ("Answer: $x = 3$ and $x = 5$", "3,5", "matched"),
    ("The solutions are $2$ and $-3$.", "2,-3", "matched"),
    ("Therefore, the answer is (2, 3).", "(2,3)", "matched"),
    ("So the answer is x >= 3.", "x \\ge 3", "matched"),
    ("The answer is 42 because 6*7=42.", "42", "matched"),
    ("I think the answer is 12.", "12", "matched"),
    ("Thus, there are $\\binom{5}{2}=10$ ways.", "10", "matched"),
    ("We get $x = \\frac{-b}{2a} = 4$.", "4", "matched"),
    ("\\frac{3}{4}", "0.75", "matched"),
    ("3/4", "\\frac34", "matched"),
    ("(3, 4]", "(3,4]", "matched"),
    ("x = 5, y = 6", "x=5,y=6", "matched"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "matched"),
    ("<think>we get 5</think>\nThe answer is 6.", "6", "matched"),
    ("<think>\\boxed{5}</think>\nSo \\boxed{6}", "6", "matched"),
    ("<answer>\n\\frac{1}{2}\n</answer>", "0.5", "matched"),
    ("<answer>x=4</answer>", "4", "matched"),
    ("The range is $y \\geq 2$", "y\\ge2", "matched"),
    ("The equation of the line is $y = 2x + 1$.", "y=2x+1", "matched"),
    ("The equation of the line is $y = 2x + 1$.", "2x-y+1=0", "matched"),
    ("$3x + 4y = 12$", "6x+8y=24", "matched"),
    ("So $3 \\cdot 4 = 12$", "12", "matched"),
    ("The probability is 3/8.", "\\frac38", "matched"),
    ("The answer is 3/8, since 3 of 8 work.", "3/8", "matched"),
    ("Answer: 2\\sqrt{3}", "2\\sqrt3", "matched"),
    ("The area is 24 square units.", "24", "matched"),
    ("**Answer:** $\\{1, 2\\}$", "\\{1,2\\}", "matched"),
    ("The answer is $\\boxed{\\text{Tuesday}}$", "Tuesday", "matched"),
    ("\\boxed{2} or \\boxed{6}", "2,6", "matched"),
    ("$\\boxed{2}$, $\\boxed{3}$ and $\\boxed{5}$", "2,3,5", "matched"),
    ("I get \\boxed{3}. Wait, that's wrong. \\boxed{4}", "4", "matched"),
    ("First \\boxed{3}, so then \\boxed{4}", "4", "matched"),
    ("$x = \\boxed{1}$ if $a > 0$ and $x = \\boxed{-1}$ otherwise", "1,-1", "matched"),
    ("x=\\boxed{2}, y=\\boxed{3}", "2,3", "matched"),
    ("The value is $\\sqrt{2}$, which is about $1.41$.", "\\sqrt2", "different"),
]
NUMBER_TABLE = [
    ("The answer (a number) is 12.", "12", "matched"),
    ("The answer [in cm] is: 12", "12", "matched"),
    ("#### 6 12-inch pizzas", "6", "matched"),
    ("#### 4 hours to read 200 pages", "4", "matched"),
    ("#### 3 days to finish 12 tasks", "3", "matched"),
    ("#### 5 10-year-old kids", "5", "matched"),
    ("#### 2 3rd graders", "2", "matched"),
    ("There are 12 stamps on 6 sheets.", "12", "matched"),
    ("He reads 30 pages in 2 books.", "30", "matched"),
    ("She has 15 marbles in 3 bags", "15", "matched"),
    ("It takes 6 days for 4 workers.", "6", "matched"),
    ("在3天内，他一共卖了45个苹果。", "45", "matched"),
    ("答案是42。", "42", "matched"),
    ("所以总共是100元。", "100", "matched"),
    ("The answer is 0.30000000000000004", "0.3", "matched"),
    ("The answer is 33.333333333333336", "33.333333333333333", "matched"),
    ("The answer is 2.9999999999999996", "3", "matched"),
    ("The answer is 0.3333333333333333", "1/3", "matched"),
    ("The answer is 1.0000001", "1", "different"),
    ('{"answer": "\\"42\\""}', "42", "matched"),
    ('{"reasoning": "He said \\"no\\"", "answer": "\\"$1,200\\""}', "1200", "matched"),
    ("{'answer': '42'}", "42", "matched"),
    ('{"answer": 42, "unit": "kg 3"}', "42", "matched"),
    ("<think>12</think>The total is 15.", "15", "matched"),
    ("<answer>$26</answer>", "26", "matched"),
    ("<answer>26", "26", "matched"),
    ("<think>so #### 5</think>#### 6", "6", "matched"),
    ("There were 5 of them, and " + STORY, "5", "matched"),
    ("x" * 700 + " 5 " + "y" * 700, "5", "matched"),
    ("#### nine point eight gallons", "9.8", "matched"),
]
TEXT_TABLE = [
    ("The answer (true or false) is True.", "true", "matched"),
    ("The answer (Yes/No): No", "no", "matched"),
    ("The answer is probably yes.", "yes", "matched"),
    ("The answer is almost certainly no.", "no", "matched"),
    ("The answer is: No, there is no such thing.", "no", "matched"),
    ("The answer is yes and no.", "yes", "different"),
    ("The answer is no, yes", "yes", "different"),
    ("The answer is (A) Yes", "yes", "matched"),
    ("The answer is (A) Yes", "no", "different"),
    ("Answer: B. No", "no", "matched"),
    ("No, not at all. The sea is deep.", "no", "matched"),
    ("It is likely. So the answer is that no, it is not.", "no", "matched"),
    ("The answer is not yes.", "yes", "different"),
    ("The answer is not no.", "no", "different"),
    ("ANSWER: ◎", "◎", "matched"),
    ("ANSWER: ◎", "○", "different"),
    ("The answer is → ←", "→ ←", "matched"),
    ("<think>a</think> <answer>Berlin</answer>", "Berlin", "matched"),
    ("<think>Paris</think>Berlin", "Paris", "different"),
    ("The answer is most likely Berlin.", "Berlin", "matched"),
    ("The answer to this question is Berlin.", "Berlin", "matched"),
    ("Answer: (B) Berlin", "Berlin", "matched"),
    ("The answer is no one.", "no", "different"),
    ("The answer is false.", "no", "matched"),
    ("yes", "true", "matched"),
    ("Yes!", "yes", "matched"),
    ("The answer is Yes (they do).", "yes", "matched"),
    ("The answer would be: no.", "no", "matched"),
    ("Plausible? yes", "yes", "different"),
]
CHOICE_TABLE = [
    ('The answer is "shop".', "C", OPTIONS, "matched"),
    ('The answer is "shop" or "road".', "C", OPTIONS, "ambiguous"),
    ("The answer is not shop but road.", "B", OPTIONS, "matched"),
    ('The answer is "big city"', "D", OPTIONS, "matched"),
    ("The answer is most likely (C), a shop.", "C", OPTIONS, "matched"),
    ("The answer must be C.", "C", OPTIONS, "matched"),
    ("It's not B. It's C.", "C", OPTIONS, "matched"),
    ("It cannot be A or B, so it is D", "D", OPTIONS, "matched"),
    ("I believe the answer is definitely B", "B", OPTIONS, "matched"),
    ("<answer>(B) road</answer>", "B", OPTIONS, "matched"),
    ("<think>A</think>B", "B", OPTIONS, "matched"),
    ("Answer:\n(A) farm\n(B) road\n(C) shop\n(D) big city\nAnswer:\n(A) farm\n(B) road\n(C) shop", "A", OPTIONS, "no answer"),
    ("Answer: (A) farm (B) road (C) shop (D) big city", "A", OPTIONS, "no answer"),
    ("Answer: (A) farm\n(B) is wrong since roads are long.", "A", OPTIONS, "matched"),
    ("Answer: (A)\n(B) road is not it.", "A", OPTIONS, "matched"),
    ("Answer: A\nB", "A", OPTIONS, "matched"),
    ("The answer is (A) road.", "A", OPTIONS, "ambiguous"),
    ("The answer (A, B, C or D) is C.", "C", OPTIONS, "matched"),
    ("The answer is: none, but closest is (C)", "C", OPTIONS, "matched"),
    ("The correct answer is (B): road", "B", OPTIONS, "matched"),
    ("The answer is A.", "B", ["1 in 100", "1 in 250"], "different"),
    ("The answer is A.", "B", ["2x + 1", "2x - 1"], "different"),
    ("The answer is A.", "B", ["3 to 5", "3 to 7"], "different"),
    ("The answer is A.", "B", ["5 m/s", "5 m s"], "different"),
    ("The answer is A.", "B", ["0.5", "1/2"], "matched"),
    ("The answer is A.", "B", ["x = 5", "y = 5"], "different"),
    ("The answer is A.", "B", ["$5", "5%"], "different"),
    ("The answer is A.", "B", ["10th", "10"], "different"),
    ("The answer is A.", "B", ["Rs. 50", "-50"], "different"),
    ("The answer is A.", "B", ["12 men", "12 women"], "different"),
    ("There were 5 of them, and " + STORY, "5", ["4", "5", "6"], "no answer"),
]


@pytest.mark.parametrize(
    ("kind", "text", "gold", "reason"),
    [(kind, *row) for kind, table in ((MATH, MATH_TABLE), (NUMBER, NUMBER_TABLE), (TEXT, TEXT_TABLE)) for row in table],
)
def test_flexible(kind: AnswerKind, text: str, gold: str, reason: str) -> None:
    assert judge(kind, text, gold, "flexible").reason == reason


@pytest.mark.parametrize(("text", "gold", "options", "reason"), CHOICE_TABLE)
def test_flexible_choices(text: str, gold: str, options: Sequence[str], reason: str) -> None:
    assert judge(CHOICE, text, gold, "flexible", options).reason == reason


@pytest.mark.parametrize(
    ("kind", "text", "gold", "reason"),
    [
        (NumberKind(form="phrase"), "Therefore, the answer (in dollars) is 7.", "7", "matched"),
        (NumberKind(form="phrase"), "The answer to this question is 7.", "7", "matched"),
        (NumberKind(form="phrase"), "There is no answer to this question, as it is open.", "7", "no answer"),
        (NumberKind(form="json"), '{"answer": "\\"$26\\""}', "26", "matched"),
        (NumberKind(form="json"), "{'reason': 'x', 'answer': '26'}", "26", "matched"),
        (NUMBER, "<think>#### 5</think>\n#### 6", "6", "matched"),
        (NUMBER, "<think>#### 5</think>\nIt is five.", "5", "matched"),
        (TEXT, "The answer (yes or no) is No.", "no", "matched"),
        (TEXT, "The answer (Yes or No) is followed by an explanation.\n\nYes, they are.", "yes", "matched"),
        (TEXT, "The answer is ] } >.", "] } >", "matched"),
        (TEXT, "The answer is ] } >.", ">", "different"),
        (TEXT, 'The answer is "n a o a".', "naoa", "matched"),
        (TextKind(form="json"), '{"answer": "say \\"yes\\""}', 'say "yes"', "matched"),
        (MATH, "$\\boxed{2} \\quad \\text{and} \\quad \\boxed{6}$", "2,6", "matched"),
        (MATH, "$a = \\boxed{2}.$ If $r = 3$ then $a = \\boxed{6}.$", "2,6", "matched"),
        (MATH, "$a = \\boxed{2}.$ Wait, if $r = 3$ then $a = \\boxed{6}.$", "6", "matched"),
        (MATH, "\\boxed{10} and then \\boxed{42}", "42", "matched"),
    ],
)
def test_strict(kind: AnswerKind, text: str, gold: str, reason: str) -> None:
    assert judge(kind, text, gold, "strict").reason == reason


LISTED = "Answer:\n(A) farm\n(B) road\n(C) shop\n(D) big city\n"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (LISTED, None),
        (LISTED * 20, None),
        (LISTED + "Answer: (C)", "C"),
        ("Answer: C\n" + LISTED * 3 + "Answer:\n(A) fa", "C"),
        (LISTED * 3 + "Answer:\n(A) farm\n(B", None),
        (LISTED * 3 + "Answer:", None),
        (LISTED * 2 + "\nAnswer: (A) farm", "A"),
        ("Answer: (A) farm (B) road (C) shop (D) big city", None),
        ("Answer:\nA. farm\nB. road", None),
        ("Answer: A) one thing\nB) another\nC) a third", None),
        ("Answer: (A) farm\n\n(B) is too loud.", "A"),
        ("Answer: (B) road", "B"),
    ],
)
def test_an_echoed_list_of_options_is_no_answer(text: str, answer: str | None) -> None:
    assert CHOICE.read(text, "strict", OPTIONS).answer == answer
    assert CHOICE.read(text.replace("Answer:", "The answer is:"), "strict", OPTIONS).answer == answer
    assert CHOICE.read(text, "flexible", OPTIONS).answer == answer
