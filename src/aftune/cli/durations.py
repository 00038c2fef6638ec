"""How a range of time is told."""

from aftune.pipeline.estimate.speed import Duration

_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


def format_duration(taken: Duration) -> str:
    """`4 to 7 minutes`, both ends in the unit of the upper one."""
    unit, seconds = next((unit, seconds) for unit, seconds in _UNITS if taken.high >= 2 * seconds or seconds == 1)
    low, high = (_rounded(value / seconds) for value in (taken.low, taken.high))
    unit = unit.removesuffix("s") if high == "1" else unit
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"


def _rounded(value: float) -> str:
    """No more than two figures: an estimate is no better than that."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 9.5 else f"{value:.1g}"
