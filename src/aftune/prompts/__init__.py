"""How a question is asked, and how texts become token ids: formats, examples, special tokens.

May import records and common.
"""
