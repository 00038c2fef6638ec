"""Short answers in words."""

import pytest

from aftune.answers import TEXT, judge

# response, gold, strict reason, flexible reason
TABLE = [
    ("The answer is yes.", "yes", "matched", "matched"),
    ("The answer is Yes", "yes", "matched", "matched"),
    ("The answer is yes.", "no", "different", "different"),
    ("The answer is no, because fish swim.", "no", "matched", "matched"),
    ("Answer: **No**", "no", "matched", "matched"),
    ("The answer is true", "yes", "matched", "matched"),
    ("The answer is False.", "no", "matched", "matched"),
    ("The answer is yes and no", "yes", "different", "different"),
    ("Yes, because fish swim in every one of the seas that we have ever come to know.", "yes", "no answer", "matched"),
    ("Fish swim.\nSo yes.", "yes", "no answer", "matched"),
    ("Fish swim.\nYes.", "yes", "no answer", "matched"),
    ("no", "no", "no answer", "matched"),
    ("The answer is nothing", "no", "different", "different"),
    ("The answer is Paris.", "paris", "matched", "matched"),
    ("The answer is the Eiffel Tower.", "Eiffel Tower", "matched", "matched"),
    ('The answer is "Eiffel Tower"', "Eiffel Tower", "matched", "matched"),
    ("The answer is \\text{Eiffel Tower}", "Eiffel Tower", "matched", "matched"),
    ("The answer is Eiffel", "Eiffel Tower", "different", "different"),
    ("The answer is U.S. Navy", "U.S. Navy", "matched", "matched"),
    ("The answer is café", "café", "matched", "matched"),
    ("The answer is a\u200bpple", "apple", "matched", "matched"),
    ("The answer is 42.", "42", "matched", "matched"),
    ("The answer is 42.0", "42", "matched", "matched"),
    ("The answer is 43", "42", "different", "different"),
    ("The answer is London. Wait, the answer is Paris.", "Paris", "matched", "matched"),
    ("Answer: Paris\n\nQuestion: Next?\nAnswer: Rome", "Paris", "matched", "matched"),
    ("#### Paris", "Paris", "no answer", "matched"),
    ("\\boxed{Paris}", "Paris", "no answer", "matched"),
    ('{"answer": "Paris"}', "Paris", "matched", "matched"),
    ("Paris", "Paris", "no answer", "matched"),
    ("So it is in France.\nParis", "Paris", "no answer", "matched"),
    ("The answer is [your answer]", "Paris", "no answer", "different"),
    ("The answer is ...", "Paris", "no answer", "different"),
    ("", "Paris", "no answer", "no answer"),
    ("?!", "Paris", "no answer", "no answer"),
    ("The answer is sunny day", "sunny days", "different", "different"),
    ("The answer is New   York", "new york", "matched", "matched"),
    ("The answer is C++", "C", "different", "different"),
]


@pytest.mark.parametrize(("text", "gold", "strict", "flexible"), TABLE)
def test_table(text: str, gold: str, strict: str, flexible: str) -> None:
    assert judge(TEXT, text, gold, "strict").reason == strict
    assert judge(TEXT, text, gold, "flexible").reason == flexible
