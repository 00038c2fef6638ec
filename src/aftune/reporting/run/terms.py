"""The words on the page of a run, explained: only those that the run has something of."""

from dataclasses import dataclass

from aftune.recipe import AlignSection
from aftune.recipe.names import CONTROLS, beta_unit, method_name
from aftune.reporting.formatting import PER_CENT
from aftune.reporting.run.data import ReportData


@dataclass(frozen=True)
class Term:
    word: str
    meaning: str


def terms(data: ReportData) -> dict[str, Term]:
    """By a short name, which is a part of its id on the page."""
    recipe, align = data.recipe, data.recipe.align
    control = CONTROLS[recipe.control.match]
    found = {
        "accuracy": Term(
            "Accuracy", "The share of test problems whose greedy answer (the most likely token at each step) is right."
        ),
        "vft": Term(
            "VFT", "Vanilla fine-tuning: maximum likelihood of the reference solutions. All models but the base are made from it."
        ),
    }
    if control.key in data.metrics["results"]:
        found["control"] = Term(
            control.label,
            f"A control: {control.meaning.format(method=method_name(align))}. What {method_name(align)} has beyond it comes from "
            "the method, not from more training.",
        )
    found["group"] = Term(
        "Candidate, group",
        "A candidate is a sampled answer to a problem; a problem with its labelled candidates is a group. A group with right and "
        f"wrong candidates is mixed; {_learnt_from(align)}",
    )
    found["score"] = Term(
        "Score, nats per token",
        "The mean natural logarithm of the probability that the model gives each token of an answer: 0 would be certainty, and the "
        "lower, the less likely the model finds the answer.",
    )
    found["assessment"] = Term(
        "Assessment accuracy",
        "Of all pairs of a right and a wrong candidate to one problem, the share in which the model gives the right one the higher "
        f"score; guessing gives 50{PER_CENT}. It says whether the model can tell good answers from bad ones.",
    )
    if align.constraint == "boundary":
        found["boundary"] = Term(
            "Boundary, beta",
            "Wrong candidates are pushed down until their score is beta below that of the worst right one, and no further. Beta is "
            f"in {beta_unit(align.loss, align.rrhf_length_normalisation)}.{_found(align)}",
        )
    found["interval"] = Term(
        f"95{PER_CENT} interval",
        "What other test problems of the kind could have given: a difference whose interval contains 0 may be chance. It does not "
        "cover what another seed of training would change.",
    )
    found["mcnemar"] = Term(
        "McNemar test, p",
        "How often chance alone would make two equal models differ as much on these problems, going by those that one has right "
        "and the other wrong.",
    )
    return found


def _learnt_from(align: AlignSection) -> str:
    if not align.reference_is_candidate:
        return "only mixed ones teach alignment anything."
    return "alignment learns from these and, since the reference joins the candidates, from those whose candidates are all wrong."


def _found(align: AlignSection) -> str:
    if align.beta != "auto":
        return ""
    share = f"{100 * align.auto_beta_push:g}{PER_CENT}"
    return f" An automatic beta lets training begin to push them with {share} of the strength that it has without one."
