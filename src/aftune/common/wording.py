"""Wording of messages, and how texts and times are told in the terminal and on pages."""

import re

_BREAK = re.compile(r"\s*[\r\n\v\f\x85\u2028\u2029]\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # and halves of surrogate pairs, which cannot be printed

# What a browser would not show, or what changes how the text around it is shown: controls, marks that set the direction of text,
# characters without width, other ends of lines, tags, halves of surrogate pairs. Joiners belong to some scripts and emoji, but
# hide beside ASCII.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
    "|(?<=[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f])"
)


def counted(number: float, noun: str) -> str:
    """`1 epoch`, `2.5 epochs`, `1,280 candidates`: a number with its noun, which must have a regular plural."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {noun}" if number == 1 else f"{text} {noun}s"


def one_line(text: str) -> str:
    """A text without line breaks, and with escapes for what would do something to a terminal."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], _BREAK.sub(" ", text.strip()))


def cut_short(text: str, most: int = 100) -> str:
    """The start of a text that may have any length."""
    return text if len(text) <= most else f"{text[:most]}..."


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def visible(text: str) -> str:
    """The text with what cannot be seen made visible: ASCII controls as their pictures (U+2400...), the rest as `⟨U+202E⟩`. Tabs
    and ends of lines stay."""
    return _UNSEEN.sub(lambda found: _picture(ord(found[0])), text)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"⟨U+{code:04X}⟩"
