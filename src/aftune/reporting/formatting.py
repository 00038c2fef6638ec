"""Numbers and texts as the pages show them."""

from collections.abc import Sequence

MISSING = "–"
NBSP = "\N{NO-BREAK SPACE}"
PER_CENT = f"{NBSP}%"
_MINUS = "\N{MINUS SIGN}"


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A number with a fixed number of decimals and a true minus sign; no minus before zero."""
    if value is None:
        return MISSING
    text = f"{round(value, decimals) + 0.0:{'+' if sign else ''},.{decimals}f}"
    return text.replace("-", _MINUS)


def percent(share: float | None) -> str:
    """A share, from 0 to 1, in per cent."""
    return MISSING if share is None else f"{number(100 * share, 1)}{PER_CENT}"


def percent_interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{number(100 * interval[0], 1)} to {number(100 * interval[1], 1)}"


def with_interval(name: str, share: float, interval: Sequence[float] | None, num_problems: int | None) -> str:
    """A share with all that is known of it: `AFT-BC: 52.9 % (49.2 to 56.5), n = 700`."""
    text = f"{name}: {percent(share)}"
    text += f" ({percent_interval(interval)})" if interval is not None else ""
    return text if num_problems is None else f"{text}, n = {count(num_problems)}"


def points(difference: float, *, sign: bool = False) -> str:
    """A difference of shares in percentage points; only its size without `sign`."""
    text = number(100 * (difference if sign else abs(difference)), 1, sign=sign)
    return f"{text} point" if text.lstrip(f"+{_MINUS}") == "1.0" else f"{text} points"


def p_value(value: float) -> str:
    """A p-value with its relation sign: `= 0.012`, `< 0.001`."""
    text = "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"
    return text.replace(" ", NBSP)


def evidence(interval: str, p: float) -> str:
    """The evidence for a number: its interval and p-value."""
    return f"95{PER_CENT} interval {interval}, p{NBSP}{p_value(p)}"


def score(value: float | None, *, sign: bool = False) -> str:
    """A score in nats per token. Those of a tiny model differ in the third decimal."""
    return number(value, 4, sign=sign)


def count(value: int) -> str:
    return f"{value:,}"


def setting(value: object) -> str:
    """A value of the recipe: numbers as people write them (`0.0005`, `2e-05`), switches as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
