"""How a question is asked."""

PLAIN_PROMPT = "Question: {question}\nAnswer:\n"
