"""One spelling for what has many: digits, dashes, spaces and invisible characters of Unicode, and LaTeX around plain values."""

import re
import unicodedata

_DASHES = dict.fromkeys("‐‑‒–−﹣－", "-")
_SAME = {
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
    "⁄": "/", "∕": "/", "／": "/", "٫": ".", "٬": ",", "，": ",", "．": ".", "。": ". ", "：": ":", "；": ";", "＝": "=",
    "％": "%", "＄": "$", "＋": "+", "（": "(", "）": ")", "＃": "#", "∶": ":",
}  # fmt: skip
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_SUPERSCRIPT_RUN = re.compile(f"[{_SUPERSCRIPTS}]+")
_SIGNED_FRACTION = re.compile("(?<=[-−–+])[¼-¾⅐-⅞]")
_PLAIN_DIGITS = str.maketrans(_SUPERSCRIPTS, "0123456789-+")


class _Spelling(dict[int, str | None]):
    """Filled in as characters are met; one that means nothing to an answer stands for itself."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        value: str | None = character
        if character in _DASHES or character in _SAME:
            value = _DASHES.get(character) or _SAME.get(character)
        elif code > 127:
            category = unicodedata.category(character)
            if category == "Nd":
                value = str(unicodedata.decimal(character))
            elif category == "Cf":
                value = None  # zero-width characters, direction marks
            elif category == "Zs":
                value = " "
            elif category == "No" and unicodedata.decomposition(character).startswith("<fraction>"):
                value = " " + unicodedata.normalize("NFKC", character).replace("⁄", "/")
            elif 0xFF21 <= code <= 0xFF5A:  # full-width letters
                value = unicodedata.normalize("NFKC", character)
        self[code] = value
        return value


_SPELLING = _Spelling()


def clean(text: str) -> str:
    """ASCII digits, dashes, quotes and spaces; `½` as ` 1/2`, `10³` as `10^3`; invisible characters gone."""
    if text.isascii():
        return text
    if _SUPERSCRIPT_RUN.search(text):
        text = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run.group().translate(_PLAIN_DIGITS), text)
    return _SIGNED_FRACTION.sub(lambda part: unicodedata.normalize("NFKC", part.group()), text).translate(_SPELLING)


_WRAPPERS = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|boldsymbol|bm|boxed|fbox|emph)\s*\{([^{}]*)\}")
_SHORT_FRACTION = re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)")
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{\s*(-?)\s*([^{}]*)\}\s*\{\s*([^{}]*?)\s*\}")
_MARKUP = (
    (re.compile(r"\\(?:left|right|displaystyle|quad|qquad|bigl?|bigr?|Big|limits)(?![A-Za-z])"), " "),
    (re.compile(r"\\[!]|\{\}"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)\\,(?=\d{3})"), ","),
    (re.compile(r"\\[,;:> ]|~"), " "),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree"), " degrees"),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])"), "×"),
    (re.compile(r"\\approx(?![A-Za-z])"), "≈"),
    (re.compile(r"\\(?:implies|Rightarrow|rightarrow|to)(?![A-Za-z])"), " = "),
    (re.compile(r"\\[()\[\]]"), " "),
    (re.compile(r"\\([$%&#_])"), r"\1"),
    (re.compile(r"\^\s*[{(]\s*([-+]?\d+)\s*[})]"), r"^\1"),
)


def plain(text: str) -> str:
    """A short text without the LaTeX that people put around numbers and words: `\\frac{3}{4}` as ` 3/4`, `\\text{C}` as `C`."""
    if "\\" not in text and "{" not in text and "~" not in text:
        return text
    for _ in range(4):  # nesting; deeper than that is not a plain value
        text, count = _WRAPPERS.subn(r" \1 ", text)
        if not count:
            break
    text = _SHORT_FRACTION.sub(r" \1/\2", text)
    text = _FRACTION.sub(r"\1 \2/\3", text)
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text
