"""Stage `rl` of a comparison: online reinforcement learning with the task's verdicts as rewards."""

import copy
import shutil
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from transformers import set_seed
from transformers.trainer_callback import PrinterCallback

from aftune.common import interrupts
from aftune.common.in_order import in_order
from aftune.common.json_text import write_json
from aftune.common.seeds import derive_seed
from aftune.models import checkpointing
from aftune.models.adapters import base_of
from aftune.pipeline.checkpoints import last_checkpoint
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.stages.train import common_arguments, finite, save_model
from aftune.pipeline.stages.validation_groups import trained_on
from aftune.pipeline.warning_signs import of_rl
from aftune.recipe import Recipe
from aftune.recipe.names import rl_name
from aftune.reporting.curves import curve, ends
from aftune.sampling import Request, TransformersEngine
from aftune.training.callbacks import RichProgressCallback, TimedCheckpoints
from aftune.training.online_rl import Batches, online_trainer
from aftune.training.trackers import grouped


def rl(context: Context) -> Summary:
    """GRPO or RLOO from where `align` starts, on its problems: as many responses to each as `sample` makes, with its settings."""
    recipe, section = context.recipe, context.recipe.rl
    folder, track = context.folder("rl"), recipe.track
    problems = trained_on(context.problems("train"), recipe)
    checkpoint = last_checkpoint(folder / "checkpoints", recipe.launch)
    if checkpoint is None:
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)  # of an attempt that left no checkpoint
    set_seed(recipe.seed)
    model: Any = context.load_trainable(context.start)
    engine = TransformersEngine(base_of(model), context.tokenizer, recipe.sample.batch_size)
    sampling = context.settings(recipe.sample, problems)
    k = recipe.sample.num_candidates

    def prompt(place: int) -> list[int]:
        return context.prompter(problems[place])

    def respond(places: Sequence[int], step: int) -> list[list[int]]:
        requests = [
            Request(prompt(place), derive_seed(recipe.seed, "rl", step, place, number % k), problems[place].id)
            for number, place in enumerate(places)
        ]
        found: list[list[int]] = [[] for _ in requests]
        for number, response in engine.complete(requests, sampling):
            found[number] = [*(response.token_ids or ()), *([context.end_id] if response.finish_reason == "stop" else [])]
        return found

    def reward_one(asked: tuple[int, str]) -> float | None:
        place, text = asked
        feedback = context.task.verdict(problems[place], text, recipe.label.reading)
        return None if feedback.undecided else float(bool(feedback.quality))

    def reward(places: Sequence[int], texts: Sequence[str]) -> list[float | None]:
        return list(in_order(reward_one, zip(places, texts, strict=True), context.task.judging_threads))

    batches = Batches(len(problems), section.batch_size, k, k, section.num_epochs or recipe.rounds, recipe.seed)
    bar = RichProgressCallback(rl_name(section.algorithm))
    with grouped(track.report_to, folder / "tensorboard", str(folder.parent), track.project):
        trainer = online_trainer(
            section.algorithm,
            model,
            copy.deepcopy(context.tokenizer),  # TRL gives it a padding token
            batches,
            prompt=prompt,
            respond=respond,
            reward=reward,
            callbacks=[bar, TimedCheckpoints(recipe.save.minutes)],
            output_dir=str(folder / "checkpoints"),
            run_name=str(folder),
            **_settings(recipe, batches),
        )
        trainer.remove_callback(PrinterCallback)
        with closing(bar), interrupts.waiting():
            trainer.train(resume_from_checkpoint=checkpoint)
    if "ref" in getattr(model, "peft_config", {}):
        model.delete_adapter("ref")  # the start, for the divergence
    save_model(context, model, folder)
    log = finite(trainer.state.log_history)
    write_json(folder / "log.json", log)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    summary: Summary = {
        "optimizer_steps": trainer.state.global_step,
        "sampled_responses": trainer.tally.num_responses,
        "sampled_tokens": trainer.tally.num_tokens,
    }
    if rewards := curve(log, "reward"):
        summary["reward_first"], summary["reward_last"] = ends(rewards)
    return summary | {"warnings": of_rl(log, recipe)}


def _settings(recipe: Recipe, batches: Batches) -> dict[str, Any]:
    """The settings of TRL's trainer that are a recipe's."""
    section, sample = recipe.rl, recipe.sample
    return common_arguments(recipe) | {
        "learning_rate": section.learning_rate,
        "lr_scheduler_type": section.lr_schedule,
        "warmup_steps": -(-section.warmup_fraction * batches.num_steps // 1),
        "beta": section.kl_weight,
        "max_grad_norm": section.max_grad_norm,
        checkpointing.SETTING: section.gradient_checkpointing,
        "temperature": sample.temperature,
        "top_p": sample.top_p,
        "top_k": sample.top_k,
        "max_completion_length": sample.max_new_tokens,
        "save_strategy": "no",  # but by the clock
    }
