"""How questions are asked, in texts."""

from aftune.prompts.formats import ALPACA_PREAMBLE, PromptFormat, Turn, plain_prompt, question_text, render_messages, render_text
from aftune.records import Problem

EXAMPLES = [Turn("1+1?", "1+1=2\n#### 2"), Turn("2+2?", "2+2=4\n#### 4")]


def problem(number: int, question: str | None = None, rationale: str | None = "r") -> Problem:
    return Problem(id=f"p{number}", task="t", question=question or f"Question {number}?", gold_answer="1", rationale=rationale)


def test_plain() -> None:
    assert render_text(PromptFormat(), [], "Question: 3+3?\nAnswer:\n") == "Question: 3+3?\nAnswer:\n"
    form = PromptFormat(system="You count.", instruction="End with ####.")
    asked = [Turn(f"Q: {example.question}\nA: ", example.response) for example in EXAMPLES]
    assert render_text(form, asked, "Q: 3+3?\nA: ") == (
        "You count.\n\nEnd with ####.\n\nQ: 1+1?\nA: 1+1=2\n#### 2\n\nQ: 2+2?\nA: 2+2=4\n#### 4\n\nQ: 3+3?\nA: "
    )


def test_alpaca_without_instruction_asks_the_question_as_one() -> None:
    assert render_text(PromptFormat("alpaca"), EXAMPLES[:1], "3+3?") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n1+1?\n\n### Response:\n1+1=2\n#### 2\n\n### Instruction:\n3+3?\n\n### Response:\n"
    )


def test_alpaca_with_instruction_has_the_question_as_input() -> None:
    form = PromptFormat("alpaca", instruction="Solve it.")
    assert render_text(form, [], "3+3?") == (
        f"{ALPACA_PREAMBLE[1]}\n\n### Instruction:\nSolve it.\n\n### Input:\n3+3?\n\n### Response:\n"
    )
    assert render_text(PromptFormat("alpaca", system="S"), [], "q").startswith("S\n\n### Instruction:\nq")


def test_chat() -> None:
    form = PromptFormat("chat", system="You count.", instruction="Solve it.")
    assert render_messages(form, EXAMPLES[:1], "3+3?") == [
        {"role": "system", "content": "You count."},
        {"role": "user", "content": "Solve it.\n\n1+1?"},
        {"role": "assistant", "content": "1+1=2\n#### 2"},
        {"role": "user", "content": "Solve it.\n\n3+3?"},
    ]
    assert render_messages(PromptFormat("chat"), [], "3+3?") == [{"role": "user", "content": "3+3?"}]


def test_a_heading_stands_before_the_examples() -> None:
    assert render_text(PromptFormat(system="S"), EXAMPLES[:1], "q", "About art.") == "S\n\nAbout art.\n\n1+1?1+1=2\n#### 2\n\nq"
    for form in (PromptFormat("chat"), PromptFormat("chat", system="S", instruction="I")):
        plain, headed = render_messages(form, EXAMPLES[:1], "q"), render_messages(form, EXAMPLES[:1], "q", "About art.")
        first = next(place for place, message in enumerate(plain) if message["role"] == "user")
        assert headed[first] == {"role": "user", "content": f"About art.\n\n{plain[first]['content']}"}
        assert [*headed[:first], *headed[first + 1 :]] == [*plain[:first], *plain[first + 1 :]]


def test_options_are_shown_one_a_line() -> None:
    choice = problem(1, "Which?").model_copy(update={"options": ["apple", "pear"]})
    assert question_text(choice) == "Which?\nOptions:\n(A) apple\n(B) pear"
    assert plain_prompt(choice) == "Question: Which?\nOptions:\n(A) apple\n(B) pear\nAnswer:\n"
