"""Signs that a stage did its work in vain, or did less than it seems to: each is a text that says what to change.

A stage puts them into its summary as `warnings`; the runner prints them and keeps them in the manifest, and pages show them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aftune import tasks
from aftune.common.wording import counted
from aftune.evaluation.best_epoch import FEW, KEY
from aftune.pipeline.recipe_task import used
from aftune.recipe import BUNDLED, Recipe
from aftune.recipe.names import model_names
from aftune.reporting.curves import curve, ends, kept_step
from aftune.reporting.formatting import percent, score

LogEntry = Mapping[str, float]

_MANY = 0.5  # share of responses that are cut off, or in which no answer is found
_REPEATED = 0.1  # share of word 4-grams that have come before in a response, beyond that of VFT
_REWARD_LOST = 0.1  # mean reward, from the first to the last tenth of training
_MUCH_LOSS = 1.1  # times the lowest validation loss
_FELL = 0.01  # nats per token: what better candidates lose beyond it is more than noise between steps
_GAP = 0.1  # share that the flexible reading finds right beyond what the strict one does


def of_vft(log: Sequence[LogEntry], recipe: Recipe, num_validation: int) -> list[str]:
    """Signs in VFT's log: validation accuracy 0 in every epoch, or still rising at the last one, or an epoch kept by chance."""
    accuracy, choice = curve(log, "eval_accuracy"), curve(log, f"eval_{KEY}", "eval_accuracy")
    if accuracy is None or choice is None:
        return []
    step, number = kept_step(choice), len(accuracy.steps)
    if max(accuracy.values) == 0:
        kept = accuracy.steps.index(step) + 1
        why = "the lowest validation loss" if curve(log, "eval_loss") else "no reason: there are no references to compute a loss on"
        return [
            f"Validation accuracy is 0 in {'the only epoch' if number == 1 else f'all {number} epochs'}; epoch {kept} was kept for "
            f"{why}. Raise evaluate.max_new_tokens ({recipe.evaluate.max_new_tokens}) if responses are cut off, sft.num_epochs or "
            "sft.learning_rate if the loss is still falling; check that the references end in the answer format of the task."
            f"{_toy(recipe)}"
        ]
    loss = curve(log, "eval_loss")
    if recipe.sft.keep == "accuracy" and num_validation < FEW and loss is not None and loss.steps == accuracy.steps:
        kept, lowest = accuracy.steps.index(step), loss.values.index(min(loss.values))
        shares = [accuracy.values[place] for place in (kept, lowest)]
        if loss.values[kept] > _MUCH_LOSS * loss.values[lowest] and shares[0] - shares[1] < _chance(shares, num_validation):
            return [
                f"Epoch {kept + 1} of VFT was kept, with {percent(shares[0])} of {counted(num_validation, 'validation problem')} "
                f"right; epoch {lowest + 1} has {percent(shares[1])} and the lowest loss ({score(loss.values[lowest])}, "
                f"not {score(loss.values[kept])}). With so few problems that difference may be chance: give more of them "
                "(task.validation), or set sft.keep=loss."
            ]
    if number > 1 and step == accuracy.steps[-1] and not recipe.control.enabled:
        return [
            "The last epoch of VFT is its best on validation: VFT may not have reached its plateau, and a gain over it may come "
            "from longer training alone. Raise sft.num_epochs, or set control.enabled=true to see."
        ]
    return []


def _chance(shares: Sequence[float], number: int) -> float:
    """The difference of two shares of so many problems that is within chance, at 95 %: as if of different problems."""
    return 1.96 * math.sqrt(sum(share * (1 - share) for share in shares) / number)


def of_labelling(counts: Mapping[str, int], recipe: Recipe, section: str, *, by_rank: bool = False) -> list[str]:
    """Signs in the candidates that the settings in `section` made: no group to learn from, most of them cut off, answers that only
    the flexible reading finds. counts: what labelling counted; by_rank: whether ranks decide which candidate is better."""
    total, num_cut_off = counts.get("candidates", 0), counts.get("truncated", 0)
    found = []
    if num_cut_off and num_cut_off >= _MANY * total:
        limit = getattr(recipe, section).max_new_tokens
        remedy = "Import complete responses." if recipe.candidates is not None else f"{_longer(section, limit)}"
        were = "was" if num_cut_off == 1 else "were"
        found.append(f"{num_cut_off:,} of {counted(total, 'candidate')} {were} cut off and left out. {remedy}")
    num_whole = total - num_cut_off - counts.get("empty", 0) - counts.get("unknown_problem", 0)
    if num_whole > 0:
        shares = {reading: counts.get(f"right_{reading}", 0) / num_whole for reading in ("strict", "flexible")}
        found += _readings({"candidates": shares}, recipe)
    if not counts.get("groups_with_rank_pairs" if by_rank else "groups_mixed", 0):
        found.append(_without_pairs(counts, recipe, section, by_rank=by_rank))
    return found


def _without_pairs(counts: Mapping[str, int], recipe: Recipe, section: str, *, by_rank: bool) -> str:
    imported = recipe.candidates is not None
    right, wrong, empty = (counts.get(f"groups_{kind}", 0) for kind in ("all_right", "all_wrong", "empty"))
    if section != "sample":
        use = "assessment accuracy cannot be measured"
    elif wrong and recipe.align.reference_is_candidate and not by_rank:
        use = "the alignment loss learns from references against wrong candidates alone, not from right ones of the model's own"
    else:
        use = "the alignment loss has nothing to learn from"
    if right > wrong + empty:
        remedy = f"Raise {section}.temperature or {section}.num_candidates, or take harder problems"
    else:
        ways = ["Train VFT longer (sft.num_epochs, sft.learning_rate)", "take easier problems"]
        if counts.get("right_flexible", 0) > counts.get("right_strict", 0):
            ways.append("try label.reading=flexible")
        remedy = ", or ".join([", ".join(ways[:-1]), ways[-1]])
    return (
        f"No group has both right and wrong candidates ({right:,} all right, {wrong:,} all wrong, {empty:,} empty): {use}. "
        f"{remedy}{', or import other candidates' if imported else ''}.{'' if right > wrong + empty else _toy(recipe)}"
    )


def _toy(recipe: Recipe) -> str:
    """What to say of the bundled model where it has failed at questions that it was not made for."""
    named = {part.name for part in used(recipe).values()}
    if recipe.model.name != BUNDLED or all(tasks.find(name).generated for name in named):
        return ""
    return (
        " The bundled model is a toy, made for the tasks that aftune generates: take a real model (model.name) for other questions."
    )


def of_alignment(log: Sequence[LogEntry], *, aligned: bool) -> list[str]:
    """Signs in alignment's log: no pair in the whole training, or scores that fall together, which is how an alignment without a
    working constraint starts to ruin a model (AFT, section 3)."""
    if not aligned or not log:
        return []
    better, worse = curve(log, "score_better"), curve(log, "score_worse")
    if better is None or worse is None:
        return [
            "No group in training had both a better and a worse candidate: the alignment loss was always 0, so this is VFT alone. "
            "Look at the groups of stage label, and at align.num_candidates, align.feedback and align.reference_is_candidate."
        ]
    if min(len(better.values), len(worse.values)) < 2:
        return []
    (better_first, better_last), (worse_first, worse_last) = ends(better), ends(worse)
    if better_first - better_last < _FELL or worse_last >= worse_first:
        return []
    moved = [f"{score(first)} to {score(last)}" for first, last in (ends(better), ends(worse))]
    return [
        f"Both scores fell between the first and the last tenth of the alignment: better candidates from {moved[0]}, worse ones "
        f"from {moved[1]} nats per token. The model loses likelihood on good responses too. Try a smaller align.learning_rate "
        "or align.alignment_weight, or another align.constraint or align.beta."
    ]


def of_rl(log: Sequence[LogEntry], recipe: Recipe) -> list[str]:
    """Signs in the log of reinforcement learning: responses to a problem that never differ in their reward, which teaches nothing,
    and a reward that falls."""
    alike, reward = curve(log, "frac_reward_zero_std"), curve(log, "reward")
    if reward is None or not any(reward.values) or (alike is not None and min(alike.values) == 1):
        return [
            f"In no group of {recipe.sample.num_candidates} responses did the rewards differ: there was nothing to learn, and the "
            "model is the one that training started from. Raise sample.temperature or sample.num_candidates, train VFT longer, or "
            "take problems of another difficulty."
        ]
    first, last = ends(reward)
    if len(reward.values) > 1 and first - last >= _REWARD_LOST:
        return [
            f"The mean reward fell from {percent(first)} to {percent(last)} between the first and the last tenth of training: the "
            "steps were too large. Try a smaller rl.learning_rate, or a larger rl.kl_weight or rl.batch_size."
        ]
    return []


def of_results(results: Mapping[str, Mapping[str, Any]], recipe: Recipe) -> list[str]:
    """Signs in the models' greedy responses, by the models' keys: most of them cut off or without an answer, answers that only the
    flexible reading finds, none right at all, more repetition than VFT has, worse ones scored above right ones."""
    labels = {name.key: name.label for name in model_names(results, recipe)}
    found = []
    cut_off = {labels[key]: result["num_truncated"] / result["num_problems"] for key, result in results.items()}
    cut_off = {label: share for label, share in cut_off.items() if share >= _MANY}
    if cut_off.keys() - {labels.get("base")}:  # before training, a model may not know where to end
        shares = ", ".join(f"{label} {percent(share)}" for label, share in cut_off.items())
        found.append(f"Greedy responses were cut off: {shares}. {_longer('evaluate', recipe.evaluate.max_new_tokens)}")
    unread = {
        labels[key]: result.get("reasons", {}).get("no answer", 0) / result["num_problems"] for key, result in results.items()
    }
    if unread := {label: share for label, share in unread.items() if share >= _MANY and label not in cut_off}:
        shares = ", ".join(f"{label} {percent(share)}" for label, share in unread.items())
        trained = ", or train VFT longer" if unread.keys() - {labels.get("base")} else "; before training a model may not know it"
        found.append(
            f"No answer is found in many greedy responses: {shares}. Read evaluate/*/verdicts.jsonl: ask for the format "
            f"(prompt.instruction, prompt.few_shot){trained}."
        )
    found += _ruined(results, labels)
    by_reading = {labels[key]: result["accuracy_by_reading"] for key, result in results.items() if "accuracy_by_reading" in result}
    found += _readings(by_reading, recipe)
    if not any(result["accuracy"] for result in results.values()):
        who = "No model has" if len(labels) > 1 else f"{next(iter(labels.values()))} does not have"
        hidden = any(result.get("accuracy_by_reading", {}).get("flexible") for result in results.values())
        ways = "easier problems, or label.reading=flexible" if hidden else "or easier problems"
        found.append(
            f"{who} a single right response: these figures say nothing. Read evaluate/*/verdicts.jsonl; a longer VFT "
            f"(sft.num_epochs){', ' if hidden else ' '}{ways} may help.{_toy(recipe)}"
        )
    return found


def _ruined(results: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]) -> list[str]:
    """Signs of a model that alignment has made worse."""
    found = []
    before = results.get("vft", {}).get("repetition")
    for key, result in results.items():
        after = result.get("repetition")
        if before is not None and after is not None and after - before >= _REPEATED:
            found.append(
                f"{labels[key]} repeats itself: {percent(after)} of its word 4-grams have come before, of VFT's {percent(before)}. "
                "Try a smaller align.learning_rate or align.alignment_weight, or a constraint (align.constraint)."
            )
        interval = result.get("assessment_accuracy_ci95")
        if interval is not None and interval[1] < 0.5:
            found.append(
                f"{labels[key]} scores wrong responses above right ones: its assessment accuracy is "
                f"{percent(result['assessment_accuracy'])}, below chance (50 %). Look at the verdicts in label/groups.jsonl, "
                "and at align.feedback."
            )
    return found


def _readings(shares: Mapping[str, Mapping[str, float]], recipe: Recipe) -> list[str]:
    """shares: for each thing measured, the share that is right by each reading."""
    if recipe.label.reading == "flexible":
        return []
    apart = {what: by for what, by in shares.items() if by["flexible"] - by["strict"] >= _GAP}
    if not apart:
        return []
    listed = "; ".join(f"{what}: strict {percent(by['strict'])}, flexible {percent(by['flexible'])}" for what, by in apart.items())
    return [
        f"The flexible reading finds right answers that the strict one does not ({listed}): they are not stated in the format "
        "asked for and count as wrong. Set label.reading=flexible, or ask for the format (prompt.instruction, prompt.few_shot)."
    ]


def _longer(section: str, limit: int) -> str:
    return f"Raise {section}.max_new_tokens (it is {limit}), or train VFT longer so that the model ends its responses."
