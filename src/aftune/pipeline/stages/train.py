"""Stages that train: `sft` (VFT), `align` (AFT or another method) and `control` (VFT for as many steps, or as much compute)."""

import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, PreTrainedModel, set_seed
from transformers.trainer_callback import PrinterCallback

from aftune.common import interrupts
from aftune.common.errors import DataError
from aftune.common.json_text import write_json
from aftune.evaluation.best_epoch import KEY, accuracy_then_loss, lowest_loss
from aftune.evaluation.greedy import greedy_right
from aftune.evaluation.reference_loss import reference_loss
from aftune.models import checkpointing
from aftune.models.adapters import base_of, merged
from aftune.models.devices import pick_device
from aftune.models.saving import saved_dtype
from aftune.pipeline import processes
from aftune.pipeline.checkpoints import last_checkpoint
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.recipe_task import default_feedback
from aftune.pipeline.registry import in_round, needs_reference
from aftune.pipeline.stages.validation_groups import assessment_while_training, trained_on
from aftune.pipeline.warning_signs import of_alignment, of_vft
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import AlignSection, Recipe, SftSection, TrainingSection
from aftune.recipe.losses import LOSSES
from aftune.records import Group, GroupLogprobs, Problem
from aftune.records.large_files import RecordFile
from aftune.sampling import TransformersEngine
from aftune.scoring import group_logprobs
from aftune.training import AlignmentConfig, AlignmentTrainer
from aftune.training.auto_beta import auto_beta
from aftune.training.callbacks import RichProgressCallback, TimedCheckpoints
from aftune.training.dataset import Encoded
from aftune.training.optimizers import optimizer_settings
from aftune.training.sharding import sharding_arguments, unsharded
from aftune.training.trackers import PROJECT, grouped
from aftune.training.trainer import encode_for_training


def sft(context: Context) -> Summary:
    """VFT from the base model. Keeps the epoch that `sft.keep` says; by loss only where the validation problems have references."""
    section = context.recipe.sft
    validation = context.problems("validation")
    with_reference = [problem for problem in validation if context.task.reference_response(problem) is not None]
    args = training_arguments(section, Path(), context.recipe, validated=False)

    def validate(model: PreTrainedModel) -> dict[str, float]:
        settings = context.settings(context.recipe.evaluate, validation, greedy=True)
        model = base_of(model)
        engine = TransformersEngine(model, context.tokenizer, context.recipe.evaluate.batch_size)
        own = processes.own(validation)
        right = processes.gather(greedy_right(engine, context.prompter, context.task, own, settings, "sft: validation"))
        accuracy = sum(right) / len(right)
        encoded = (_encode(context, args, problem) for problem in processes.own(with_reference))
        loss = reference_loss(processes.gather(group_logprobs(model, encoded, token_budget=section.token_budget)))
        by_loss = section.keep == "loss" and loss is not None
        choice = lowest_loss(loss) if by_loss else accuracy_then_loss(accuracy, loss, len(validation))
        return {"accuracy": accuracy, **({} if loss is None else {"loss": loss}), KEY: choice}

    return _train(context, "sft", "base", section, context.problems("train"), validate=validate)


def align(context: Context) -> Summary:
    """AFT or another method on the labelled groups, from the VFT or the base model."""
    recipe, section = context.recipe, context.recipe.align
    labelled = _groups(context)
    groups = trained_on(labelled, recipe)
    validate = assessment_while_training(context, labelled)
    summary: Summary = {}
    doubts: list[str] = []
    logprobs: Sequence[GroupLogprobs] | None = None
    if needs_reference(recipe):
        logprobs = trained_on(RecordFile(context.folder("reference") / "logprobs.jsonl", GroupLogprobs), recipe)
    if section.beta == "auto":
        beta = 1.0  # where no boundary uses it
        if logprobs is not None and section.constraint == "boundary":
            args = training_arguments(_with_beta(section, 1.0), Path(), recipe, validated=False)
            encoded = (_encode(context, args, group) for group in groups)
            with warnings.catch_warnings(record=True, action="always") as caught:
                beta = summary["beta"] = auto_beta(encoded, logprobs, args.alignment_loss(), section.auto_beta_push)
            doubts = [str(warning.message) for warning in caught]
        section = _with_beta(section, beta)
    reference = logprobs if LOSSES[section.loss].needs_reference else None
    trained = _train(context, "align", context.start, section, groups, validate=validate, reference_logprobs=reference)
    return trained | summary | {"warnings": [*doubts, *trained["warnings"]]}


def control(context: Context) -> Summary:
    """VFT from where `align` starts, without its alignment loss: with its steps, batches and learning rates; to match its compute,
    the epochs grow by the factor by which its groups have more tokens."""
    section = context.recipe.align.model_copy(
        update={"alignment_weight": 0.0, "sft_weight": 1.0, "sft_on": "reference", "beta": 1.0, "feedback": "binary"}
    )
    recipe = context.recipe
    problems = trained_on(context.problems("train"), recipe)
    factor = float(recipe.rounds)
    if recipe.control.match == "compute":
        factor *= _tokens(context, trained_on(_groups(context), recipe)) / _tokens(context, problems)
    section = section.model_copy(update={"num_epochs": section.num_epochs * factor})
    validate = assessment_while_training(context, _groups(context)) if recipe.align.validation_groups else None
    return _train(context, "control", context.start, section, problems, validate=validate)


def _groups(context: Context) -> RecordFile[Group]:
    groups = RecordFile(context.folder("label") / "groups.jsonl", Group)
    if not any(group.candidates for group in groups):
        raise DataError(
            f"{groups.path}: no group has a candidate left ({context.folder('label') / 'left_out.jsonl'} says why); "
            "try a larger sample.max_new_tokens, another temperature or a better VFT model"
        )
    return groups


def _with_beta(section: AlignSection, beta: float) -> AlignSection:
    return section.model_copy(update={"beta": beta})


def _tokens(context: Context, sources: Sequence[Group] | Sequence[Problem]) -> int:
    """Tokens of an epoch, prompts counted once; a group without pairs counts as its reference alone."""
    args = training_arguments(_with_beta(context.recipe.align, 1.0), Path(), context.recipe, validated=False)
    return sum(_encode(context, args, source).num_trained_tokens for source in sources)


def _encode(context: Context, args: AlignmentConfig, source: Group | Problem) -> EncodedGroup:
    group = source if isinstance(source, Group) else Group(problem=source, candidates=[], feedback=[])
    prompt, reference = context.prompter(group.problem), context.task.reference_response(group.problem)
    return encode_for_training(group, args, context.tokenizer, prompt=prompt, reference=reference, end_id=context.end_id)


def _train(
    context: Context,
    stage: str,
    start: str,
    section: TrainingSection,
    groups: Sequence[Group] | Sequence[Problem],
    *,
    validate: Callable[[PreTrainedModel], dict[str, float]] | None = None,
    reference_logprobs: Sequence[GroupLogprobs] | None = None,
) -> Summary:
    folder, track, first = context.folder(stage), context.recipe.track, processes.is_first()
    checkpoint = processes.share(last_checkpoint(folder / "checkpoints", context.recipe.launch) if first else None)
    set_seed(context.recipe.seed)
    args = training_arguments(section, folder, context.recipe, validated=validate is not None)
    if checkpoint is not None:
        args.eval_on_start = False
    elif first:
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)  # of an attempt that left no checkpoint
    bar = RichProgressCallback(in_round(stage, context.round))
    with grouped(track.report_to, folder / "tensorboard", str(folder.parent), track.project):
        trainer = AlignmentTrainer(
            model=context.load_trainable(start),
            args=args,
            train_dataset=Encoded(groups, partial(_encode, context, args)),
            processing_class=context.tokenizer,
            validate=validate,
            reference_logprobs=reference_logprobs,
            callbacks=[bar, TimedCheckpoints(context.recipe.save.minutes, processes.share)],
        )
        trainer.remove_callback(PrinterCallback)
        patience = section.patience if isinstance(section, SftSection) else None
        if patience is not None:
            trainer.add_callback(EarlyStoppingCallback(patience))
        with closing(bar), interrupts.waiting():
            trainer.train(resume_from_checkpoint=checkpoint)
    trained = trainer.model
    if context.recipe.launch.sharding != "none":
        trained = unsharded(trainer, partial(context.on_cpu().load_trainable, start))
    if first:
        save_model(context, trained, folder)
        write_json(folder / "log.json", finite(trainer.state.log_history))
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    log = trainer.state.log_history
    aligned = isinstance(section, AlignSection) and section.alignment_weight > 0
    return _summary(trainer) | {
        "warnings": of_vft(log, context.recipe, len(context.problems("validation"))) + of_alignment(log, aligned=aligned)
    }


def save_model(context: Context, model: Any, folder: Path) -> None:
    """The whole model in `model`, and its adapter in `adapter`; an adapter that is not merged stands in `model` instead."""
    section, dtype = context.recipe.adapter, saved_dtype(context.recipe.model)
    if section.kind != "none":
        context.save_policy(model, folder / ("adapter" if section.merge else "model"))
        if not section.merge:
            return
        model = merged(model)
    context.save_policy(model.to(dtype), folder / "model")


def training_arguments(section: TrainingSection, folder: Path, recipe: Recipe, *, validated: bool) -> AlignmentConfig:
    """The trainer's settings from a section of the recipe. folder: the stage's. validated: whether a model is measured after each
    epoch: `sft` keeps the best, the others are measured before the first as well."""
    alignment: dict[str, Any] = {"alignment_weight": 0.0}
    if isinstance(section, AlignSection):
        own = set(AlignSection.model_fields) - set(TrainingSection.model_fields) - {"start", "auto_beta_push", "validation_groups"}
        alignment = {name: getattr(section, name) for name in sorted(own)}
        if section.feedback == "task":
            alignment["feedback"] = default_feedback(recipe)
    selection = optimizer_settings(section.optimizer) | {checkpointing.SETTING: section.gradient_checkpointing}
    if validated:
        best = {"load_best_model_at_end": True, "metric_for_best_model": KEY, "greater_is_better": True}
        selection |= {"eval_strategy": "epoch", **(best if isinstance(section, SftSection) else {"eval_on_start": True})}
    config = AlignmentConfig(
        output_dir=str(folder / "checkpoints"),
        run_name=str(folder),
        learning_rate=section.learning_rate,
        lr_scheduler_type=section.lr_schedule,
        warmup_fraction=section.warmup_fraction,
        num_train_epochs=section.num_epochs,
        per_device_train_batch_size=section.batch_size // processes.number(),
        token_budget=section.token_budget,
        kept_logits_gib=section.kept_logits_gib,
        weight_decay=section.weight_decay,
        max_grad_norm=section.max_grad_norm,
        weights="float32" if recipe.adapter.kind != "none" else recipe.model.weights,
        save_strategy="epoch",
        **common_arguments(recipe),
        **alignment,
        **selection,
        **sharding_arguments(recipe.launch.sharding, offload=recipe.launch.offload),
    )
    config._n_gpu = min(config.n_gpu, 1)  # a process uses one, however many it sees
    return config


def common_arguments(recipe: Recipe) -> dict[str, Any]:
    """What every trainer is told of a recipe, ours and TRL's alike: where it computes, reports and keeps checkpoints."""
    return {
        "report_to": list(recipe.track.report_to),
        "project": recipe.track.project or PROJECT,
        "bf16": recipe.model.precision == "bfloat16",
        "use_cpu": pick_device(recipe.model.device) == "cpu",
        "save_total_limit": recipe.save.keep,
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": 0.02,
        "disable_tqdm": True,
        "log_level_replica": "passive",  # no warnings of transformers, in no process
        "seed": recipe.seed,
    }


def finite(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """A trainer's log without what is no number."""
    return [{key: value for key, value in entry.items() if value is not None and math.isfinite(value)} for entry in history]


def _summary(trainer: AlignmentTrainer) -> Summary:
    state = trainer.state
    summary: Summary = {"optimizer_steps": state.global_step, "epochs": round(state.epoch or 0.0, 3)}
    evaluated = [entry for entry in state.log_history if f"eval_{KEY}" in entry]
    if evaluated:
        best = max(evaluated, key=lambda entry: entry[f"eval_{KEY}"])
        summary |= {"validation_accuracy": best["eval_accuracy"], "best_epoch": evaluated.index(best) + 1}
        summary |= {"validation_loss": best["eval_loss"]} if "eval_loss" in best else {}
    return summary
