"""Assessment accuracy (A-Acc): does the model score better candidates above worse ones?"""

from collections.abc import Sequence


def assessment_accuracy(scores: Sequence[float], qualities: Sequence[float]) -> float | None:
    """Share of pairs (i better than j) of one problem with s_i > s_j; None where there is no pair (AFT, section 2).

    Equal scores are not in order: a model that scores all alike has 0, not one half. Equal qualities are no pair. With more
    than two qualities this serves rankings: every ordered pair counts once. Averaging over problems, each with equal
    weight, is our derivation. Raises ValueError unless there is one quality for each score.
    """
    if len(scores) != len(qualities):
        raise ValueError(f"{len(scores)} scores but {len(qualities)} qualities; give one of each for every candidate")
    pairs = [(i, j) for i in range(len(scores)) for j in range(len(scores)) if qualities[i] > qualities[j]]
    return sum(scores[i] > scores[j] for i, j in pairs) / len(pairs) if pairs else None
