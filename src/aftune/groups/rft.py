"""Which sampled responses fine-tuning imitates besides the reference.

RFT, rejection sampling fine-tuning (Yuan et al. 2023, arXiv 2308.01825): the right ones, but only one of those that reason
alike. In the paper two responses reason alike when their lists of equations are the same; its code evaluates them with Python,
ours only reads them (aftune.answers.equations).
"""

from aftune.answers.equations import equations
from aftune.common.errors import UsageError
from aftune.records import Group


def rft_choice(group: Group, max_positives: int | None = None) -> list[int]:
    """The indices in `group.candidates` of those that RFT imitates, in order, at most `max_positives`.

    Candidates of the group's best quality count as right, if that is above 0. Of those with the same text (white space aside)
    or the same list of equations only the first is chosen, and none that repeats the reference, which is trained on anyway. A
    candidate without any equation is compared by its text only. Raises UsageError for a negative `max_positives`.
    """
    if max_positives is not None and max_positives < 0:
        raise UsageError(f"max_positives is {max_positives}, expected 0 or more, or None for all")
    reference = group.problem.rationale
    texts = set() if reference is None else {_plain(reference)}
    chains = set() if reference is None else {equations(reference)}
    best = max(group.qualities, default=0.0)
    chosen: list[int] = []
    for place, (candidate, feedback) in enumerate(zip(group.candidates, group.feedback, strict=True)):
        if len(chosen) == max_positives:
            break
        if feedback.quality < best or best <= 0:
            continue
        text, chain = _plain(candidate.text), equations(candidate.text)
        if text in texts or (chain and chain in chains):
            continue
        texts.add(text)
        chains.add(chain)
        chosen.append(place)
    return chosen


def _plain(text: str) -> str:
    return " ".join(text.split())
