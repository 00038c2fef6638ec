"""Answers that try to hang, crash or run the reader of answers: the same ones for the same number.

python tests/answers/hostile_answers.py     reads a thousand with every kind; the slowest, what timed out, and the memory
"""

import random
import resource
import time
from collections import Counter

from aftune.answers import CHOICE, MATH, NUMBER, TEXT, judge

_EXPRESSIONS = (
    "9**9**9**9", "9^{9^{9^{9}}}", "9^9^9^9", "(10^8)!", "1000000!!", "\\binom{10^9}{5\\cdot 10^8}",
    "2^{2^{2^{2^{2^2}}}}",
    "\\sum_{k=1}^{10^9} \\frac{1}{k}", "\\prod_{k=1}^{10^7} k", "\\int_0^{\\infty} e^{-x^{x^x}} \\sin(x^x) dx",
    "\\sqrt[10^9]{2^{10^9}}",
    "\\lim_{x\\to\\infty} (1+\\frac1x)^{x^{x}}", "x^{x^{x^{x^{x}}}}=x", "\\gcd(10^{10^{6}}, 3)", "1e999999999", "1e-999999999",
    "10^{10^{10}}", "7 \\times 10^{999999999}", "(x+1)^{100000}", "(x+y+z+w)^{2000}", "\\cos^{5000}(x)", "10^{-10^{10}}", "0^{-1}",
    "\\frac{1}{0}", "\\frac{0}{0}", "nan", "inf", "-inf", "NaN", "1/0", "\\infty-\\infty", "\\sqrt{-1}^{i^{i^i}}",
)  # fmt: skip
_CODE = (
    "__import__('os').system('touch PWNED')", "exec(\"open('PWNED','w')\")", "eval('1'+'1')", "lambda: 5", "[].__class__.__base__",
    "open('PWNED', 'w').write('x')", "import os; os.remove('x')", "(lambda f: f(f))(lambda f: f(f))", "{x for x in range(10**9)}",
    "S('__import__(\"os\").system(\"touch PWNED\")')", "5 if True else 6", "5; import os", "os._exit(1)", "raise SystemExit",
    "{{7*7}}", "${7*7}",
    "<script>alert(5)</script>", "'; DROP TABLE answers; --", "%s%s%s%n", "\\input{/etc/passwd}", "\\write18{touch PWNED}",
    "\\def\\a{\\a\\a}\\a", "\\newcommand{\\x}{\\x\\x}\\x", "\\loop\\repeat", "\\catcode`\\{=12",
)  # fmt: skip
_MARKS = (
    "\u200f",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\u200b",
    "\x00",
    "\x1b[2J",
    "\x08",
    "\ud800",
    "\udfff",
    "\U000e0041",
    "\u0301" * 50,
)


def hostile(count: int) -> list[str]:
    """`count` texts, none of which is the answer 5 of its question."""
    rng = random.Random(5)
    makers = (
        lambda: rng.choice(_EXPRESSIONS),
        lambda: rng.choice(_CODE),
        lambda: str(rng.randint(1, 9)) * rng.choice((500, 5_000, 100_000)),
        lambda: (
            rng.choice(("(", "{", "[", "\\frac{", "\\sqrt{", "\\boxed{", "$", "\\left(", "^{", "_{", "\\text{"))
            * rng.choice((50, 2_000, 50_000))
        ),
        lambda: (lambda depth: "(" * depth + "7" + ")" * depth)(rng.choice((30, 300, 20_000))),
        lambda: (lambda depth: "\\frac{1}{" * depth + "7" + "}" * depth)(rng.choice((10, 38, 300, 5_000))),
        lambda: (lambda depth: "\\sqrt{" * depth + "7" + "}" * depth)(rng.choice((10, 38, 300, 5_000))),
        lambda: rng.choice(_MARKS) * rng.choice((1, 100)) + "7" + rng.choice(_MARKS),
        lambda: "7".join(rng.choice(_MARKS) for _ in range(20)),
        lambda: (
            rng.choice(
                (
                    "word ",
                    "7 ",
                    "1,",
                    "1.",
                    "- ",
                    "####",
                    "#### ",
                    "\n",
                    "answer is ",
                    "A: ",
                    "answer:\n",
                    "(A) ",
                    "*",
                    "**7",
                    "= ",
                    "Q:\n",
                    "\\",
                    '"',
                    '\\"',
                    "7/",
                    "7 and ",
                    "\t",
                    "'answer': ",
                )
            )
            * rng.choice((1_000, 100_000))
        ),
        lambda: "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x10FFFF)))) for _ in range(rng.choice((20, 500)))),
        lambda: "{" + ",".join(str(n) for n in range(rng.choice((200, 400, 3_000)))) + "}",
        lambda: "+".join(f"x_{n}^{n}" for n in range(rng.choice((20, 200)))),
        lambda: "\\begin{pmatrix}" + "\\\\".join("&".join("7" * 3 for _ in range(12)) for _ in range(12)) + "\\end{pmatrix}",
        lambda: "7" + " " * rng.choice((1_000, 1_000_000)) + "7",
        lambda: f"{rng.choice(_EXPRESSIONS)} = {rng.choice(_EXPRESSIONS)}",
    )
    texts = []
    for number in range(count):
        body = rng.choice(makers)() if number % 100 else "x7 " * 350_000  # a megabyte
        form = rng.choice(("{}", "#### {}", "The answer is {}", "\\boxed{{{}}}", '{{"answer": "{}"}}', "Answer: {}\n", "A: {}"))
        texts.append(form.format(body))
    return texts


def main() -> None:
    judge(MATH, "\\boxed{x^2+1}", "y")  # starts the worker
    for kind in (NUMBER, CHOICE, TEXT, MATH):
        reasons: Counter[str] = Counter()
        seconds = []
        for text in hostile(1000):
            started = time.perf_counter()
            reasons[judge(kind, text, "\\sqrt{4321}", "flexible", ["4321", "4322"]).reason] += 1
            seconds.append(time.perf_counter() - started)
        if kind is not CHOICE and reasons["matched"]:
            raise SystemExit(f"{kind.name}: {reasons['matched']} hostile answers were taken for right")
        counts = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{kind.name}: slowest {max(seconds):.2f} s, all {sum(seconds):.1f} s; {counts}; at most {memory:.0f} MB until here")


if __name__ == "__main__":
    main()
