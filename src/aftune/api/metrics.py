"""`evaluate`: what a model is worth on problems, and on candidates for them."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from transformers import PreTrainedTokenizerBase

from aftune.api.call import Call, Model, PromptOfRecipe
from aftune.api.keys import EvaluateKeys, section_of, with_keys_of
from aftune.api.problem_tasks import TaskOfRecipe, records
from aftune.pipeline.stages.measure import measure_policy
from aftune.pipeline.warning_signs import of_results
from aftune.recipe import EvaluateSection, LabelSection
from aftune.records import Group, GroupScores, JudgedResponse, Problem, read_records

_WITHOUT = {"num_candidates": "sample and label the candidates, and give them as groups"}


class Metrics(dict[str, Any]):
    """Metrics by name, as in `metrics.json` of a run. responses: the greedy ones and their verdicts, one for each problem. scores:
    of the candidates of each group, if groups were given."""

    def __init__(
        self, metrics: Mapping[str, Any] | None = None, responses: Sequence[JudgedResponse] = (), scores: Sequence[GroupScores] = ()
    ) -> None:
        super().__init__(metrics or {})
        self.responses, self.scores = list(responses), list(scores)


@with_keys_of(EvaluateSection, _WITHOUT)
def evaluate(
    model: Model,
    problems: Sequence[Problem],
    *,
    groups: Sequence[Group] = (),
    tokenizer: PreTrainedTokenizerBase | None = None,
    task: TaskOfRecipe | None = None,
    data: str | Path | None = None,
    prompt: PromptOfRecipe | None = None,
    examples: Sequence[Problem] = (),
    reading: Literal["strict", "flexible"] = LabelSection().reading,
    seed: int = 0,
    **keys: Unpack[EvaluateKeys],
) -> Metrics:
    """Greedy accuracy on problems, assessment accuracy on `groups`, and with num_votes what several responses are worth together,
    as stage `evaluate` of a run measures each of its models.

    groups: labelled candidates for the problems, the same for all models that are compared: those of the VFT model in a run
    (`label(problems, sample(vft, problems, purpose="evaluate", ...))`). model, tokenizer, task, data, prompt, examples: as for
    `sample`; scores are computed in float32, for a loaded 16-bit model with a copy. reading: as for `label`. All other arguments
    are the keys of a recipe's section `evaluate` and have its defaults.

    Warns of figures that mean little. Raises UsageError for an argument that does not fit, DataError for a problem or a group that
    does not fit the model's context.

    >>> from aftune import evaluate, load_problems
    >>> model = {"name": "bundled", "precision": "float32"}
    >>> metrics = evaluate(model, load_problems("arithmetic", "test[:12]"))
    >>> metrics["num_problems"], round(metrics["accuracy"], 2)
    (12, 0.33)
    >>> metrics.responses[0].reason
    'matched'
    """
    groups = records("evaluate", "groups", groups, Group, some=False)
    sections: dict[str, Any] = {
        "evaluate": section_of(EvaluateSection, keys, "evaluate", without=_WITHOUT),
        "label": section_of(LabelSection, {"reading": reading}, "evaluate"),
    }
    call = Call("evaluate", model, problems, tokenizer, task, data, prompt, examples, seed)
    with call.context(**sections) as context:
        folder = context.run.folder("evaluate")
        metrics = measure_policy(context, folder, "base", groups, "evaluate")
        responses = read_records(folder / "verdicts.jsonl", JudgedResponse)
        scores = read_records(folder / "scores.jsonl", GroupScores) if groups else []
        signs = of_results({"base": metrics}, context.recipe)
    for text in signs:
        warnings.warn(text, stacklevel=2)
    return Metrics(metrics, responses, scores)
