"""The card of a model of a run: the README.md of its folder, in the form that the Hub reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from markupsafe import Markup
from pydantic import BaseModel

from aftune.common.wording import counted
from aftune.recipe import Recipe
from aftune.recipe.names import ModelName, model_names
from aftune.reporting.markdown import fenced
from aftune.reporting.run.data import ReportData
from aftune.reporting.run.facts import facts, model_name, models_note
from aftune.reporting.run.result_tables import comparisons, result_rows
from aftune.reporting.templates import render

_IN_DATA = ("Task", "Problems")  # facts that have a section of their own
_OF_ALIGNMENT = ("Candidates", "Alignment", "Alignment training", "Control")


@dataclass(frozen=True)
class Published:
    """What a card says beside the run. title: the name that the model is loaded by; model: its key in metrics.json; adapter:
    whether the adapter is published alone; on_hub: whether the base model is on the Hub, there at `revision` and `commit`, where
    these are known.

    heading: what the model is called, if not by the title. licence: that of the base model, as the Hub calls it, where it is known.

    prompt: a training problem as the model saw it; asked: the same before the tokenizer, a text or messages. data_sets: the data
    sets of the Hub that were read, by task.
    """

    title: str
    model: str
    adapter: bool
    prompt: str
    asked: str | Sequence[Mapping[str, str]]
    on_hub: bool = False
    revision: str | None = None
    commit: str | None = None
    data_sets: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    heading: str | None = None


def model_card(data: ReportData, published: Published) -> ModelCard:
    """The card; `metrics["results"]` of the data is empty for a run that was not evaluated."""
    data = replace(data, recipe=_without_places(data.recipe, published))
    recipe, results = data.recipe, data.metrics["results"]
    (name,) = model_names([published.model], recipe)
    known = {fact.name: fact.value for fact in facts(data)}
    hidden = (*_IN_DATA, *(_OF_ALIGNMENT if published.model == "vft" else ()))
    text = render(
        "run/card.md.j2",
        metadata=Markup(_metadata(data, published, name).to_yaml()),  # YAML quotes what needs it
        title=published.heading or published.title,
        label=name.label,
        model=published.model,
        adapter=published.adapter,
        on_hub=published.on_hub,
        base=model_name(recipe.model.name),
        base_note=_base_note(published),
        licence=published.licence,
        task=recipe.task_title,
        warnings=data.warnings,
        facts={key: value for key, value in known.items() if key not in hidden},
        parts=recipe.task.parts or [recipe.task],
        problems=known["Problems"],
        data_sets=_data_sets(published),
        results=result_rows(data),
        num_problems=counted(results[published.model]["num_problems"], "test problem") if results else "",
        models_note=models_note(data),
        comparisons=comparisons(data) if published.model == "aligned" else [],
        prompt=fenced(published.prompt),
        program=fenced(_program(recipe, published), "python"),
        recipe_yaml=fenced(recipe.to_yaml(), "yaml"),
    )
    return ModelCard(f"{text}\n")


def _without_places(recipe: Recipe, published: Published) -> Recipe:
    """The recipe with names for paths: where files lie is nobody else's business."""
    named: Recipe = _named(recipe)
    name = recipe.model.name if published.on_hub else Path(recipe.model.name).name
    return named.model_copy(update={"model": recipe.model.model_copy(update={"name": name})})


def _named(value: Any) -> Any:
    if isinstance(value, Path):
        return Path(value.name)
    if isinstance(value, list):
        return [_named(item) for item in value]
    return value.model_copy(update={key: _named(item) for key, item in value}) if isinstance(value, BaseModel) else value


def _base_note(published: Published) -> str:
    """`at revision v1, commit 1a2b...`, as far as that is known."""
    known = {"revision": published.revision, "commit": published.commit}
    if published.revision == published.commit:
        del known["revision"]
    told = ", ".join(f"{what} {value}" for what, value in known.items() if value)
    return f"at {told}" if told else ""


def _data_sets(published: Published) -> list[str]:
    return sorted(set(published.data_sets.values()))


def _metadata(data: ReportData, published: Published, name: ModelName) -> ModelCardData:
    recipe = data.recipe
    base: dict[str, Any] = {}
    if published.on_hub:
        base = {"base_model": recipe.model.name, "base_model_relation": "adapter" if published.adapter else "finetune"}
    tags = ["aftune", "alignment-fine-tuning", name.label.lower().replace(", ", "-").replace(" ", "-")]
    results = _results(data, published)
    return ModelCardData(
        **base,
        datasets=_data_sets(published) or None,
        eval_results=results or None,
        license=published.licence,
        library_name="peft" if published.adapter else "transformers",
        model_name=published.heading or published.title if results else None,
        pipeline_tag="text-generation",
        tags=tags if recipe.adapter.kind == "none" else [*tags, recipe.adapter.kind],
    )


def _results(data: ReportData, published: Published) -> list[EvalResult]:
    """Accuracy and assessment accuracy of the model, as measured; of several tasks, those of each."""
    found = data.metrics["results"].get(published.model, {})
    section, metrics = data.recipe.task, ("accuracy", "assessment_accuracy")
    by_task = {metric: {section.name: found.get(metric)} for metric in metrics}
    if section.parts:
        by_task = {metric: found.get(f"{metric}_by_task", {}) for metric in metrics}
    tests = {part.name: part.test for part in section.parts} or {section.name: section.test}
    called = {} if section.parts else {section.name: data.recipe.task_title}  # of one's own questions, by their file
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=published.data_sets.get(task, called.get(task, task)),
            dataset_name=called.get(task, task),
            dataset_split=tests.get(task),
            metric_type=metric,
            metric_name=metric.replace("_", " "),
            metric_value=value,
        )
        for metric, values in by_task.items()
        for task, value in values.items()
        if value is not None
    ]


def _program(recipe: Recipe, published: Published) -> str:
    """A program that answers the question of the prompt."""
    loader = "AutoPeftModelForCausalLM" if published.adapter else "AutoModelForCausalLM"
    if published.adapter:
        imports = [f"from peft import {loader}", "from transformers import AutoTokenizer"]
    else:
        imports = [f"from transformers import {loader}, AutoTokenizer"]
    if isinstance(published.asked, str):
        encode = [f"prompt = {published.asked!r}", 'inputs = tokenizer(prompt, return_tensors="pt")']
    else:
        encode = [
            f"messages = {[dict(message) for message in published.asked]!r}",
            'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")',
        ]
    return "\n".join(
        [
            *imports,
            "",
            f"name = {published.title!r}",
            "tokenizer = AutoTokenizer.from_pretrained(name)",
            f"model = {loader}.from_pretrained(name)",
            *encode,
            f"output = model.generate(**inputs, max_new_tokens={recipe.evaluate.max_new_tokens}, do_sample=False)",
            'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
        ]
    )
