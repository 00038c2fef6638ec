"""The trainer: a `transformers.Trainer` whose loss is the VFT loss plus the alignment loss.

Both losses are sums divided by counts over the whole optimizer step and all processes (groups for the alignment loss,
reference tokens for the VFT loss), so that 1 x 8 groups and 8 x 1 groups give the same gradient, and so do the passes that
a batch is split into for the sake of memory.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerControl

from aftune import losses
from aftune.common import interrupts
from aftune.common.errors import DataError, TrainingError, UsageError
from aftune.common.process import release_memory
from aftune.groups.rft import rft_choice
from aftune.models.abilities import abilities
from aftune.models.finite import damaged_weight
from aftune.models.four_bit import exact_on_cpu
from aftune.models.loading import context_length, stop_token_ids
from aftune.prompts.encoding import EncodedGroup, Roles, encode_group
from aftune.prompts.formats import question_text
from aftune.prompts.prompter import Prompter
from aftune.records import Group, GroupLogprobs
from aftune.scoring import (
    Batch,
    Pass,
    ResponseLogprobs,
    collate,
    group_logprobs,
    response_logprobs,
    rows_of_segments,
)
from aftune.training.config import AlignmentConfig
from aftune.training.dataset import EncodedGroups, LongestFirst
from aftune.training.distributed import StepBatches, exchange_gradients
from aftune.training.divergence import keep_batches
from aftune.training.metrics import PendingMetrics
from aftune.training.optimizers import allow_projections
from aftune.training.passes import Passes
from aftune.training.refused import check_arguments
from aftune.training.resources import StepResources
from aftune.training.rounding import with_rounding
from aftune.training.routing import router_weight
from aftune.training.schedule import warm_from_the_first_step
from aftune.training.sharding import check_sharded, even_passes, whole
from aftune.training.weights import check_bfloat16, train_in_float32


class AlignmentTrainer(Trainer):
    """Trains a causal LM on groups.

    train_dataset: a sequence of `Group`, or of `EncodedGroup` where the caller tokenises them (`Encoded`). Items are read on
    demand, so that a sequence that reads from disk is not held in memory.
    reference_logprobs: for each group the log-probabilities of its responses under the frozen reference policy, for losses that
    need them: `GroupLogprobs`, or the sums of all responses of a `Group` (the reference response first, then every candidate,
    including those beyond `num_candidates`); by default they are computed with the model as it is passed in.
    validate: measures the model at each evaluation and returns metrics by name; without it, evaluation gives the loss on
    `eval_dataset`.
    Raises DataError for a group that does not fit the model's context and for a model with a weight that is not finite, UsageError
    for a setting that cannot be honoured and for DataParallel, which would split groups. `train` raises TrainingError at the first
    step whose loss or gradient is not finite, and saves its groups in `output_dir`.
    """

    # Our loss is divided by counts over the whole optimizer step: the Trainer must not divide it again.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: AlignmentConfig,
        train_dataset: Sequence[Any],
        processing_class: PreTrainedTokenizerBase,
        eval_dataset: Sequence[Any] | None = None,
        validate: Callable[[PreTrainedModel], dict[str, float]] | None = None,
        reference_logprobs: Sequence[GroupLogprobs | Sequence[float]] | None = None,
        **kwargs: Any,
    ) -> None:
        if args.n_gpu > 1:
            raise UsageError("several GPUs in one process would split groups; start with torchrun or accelerate launch")
        check_arguments(kwargs)
        if damage := damaged_weight(model):
            raise DataError(f"{model.name_or_path or type(model).__name__} is damaged: {damage}; use an undamaged copy")
        exact_on_cpu(model)
        if args.weights == "float32":
            train_in_float32(model, autocast=args.bf16 or args.fp16)
        elif args.weights == "bfloat16":
            check_bfloat16(model, kwargs)
        self._batches: list[Batch] = []  # those of the optimizer step
        self._step_loss = torch.zeros(())
        self.alignment_loss = args.alignment_loss()
        self.validate = validate
        names = ("alignment_loss", *losses.METRICS, "alignment_gradient_share") if args.alignment_weight else ()
        self._sharded = bool(args.fsdp or args.deepspeed)
        self._shared_prefix = abilities(model).shared_prefix
        self._router_weight = router_weight(model)
        self._metrics = PendingMetrics(("sft_loss", *names, *(("router_loss",) if self._router_weight else ())))

        prompter = Prompter(
            processing_class, args.prompt_format(), lambda problem: args.prompt_template.format(question=question_text(problem))
        )
        end_id = prompter.end_id(stop_token_ids(model, processing_class))

        def encode(group: Group) -> EncodedGroup:
            prompt, reference = prompter(group.problem), group.problem.rationale
            return encode_for_training(group, args, processing_class, prompt=prompt, reference=reference, end_id=end_id)

        split = partial(collate, shared_prefix=self._shared_prefix, needs=self._needs)
        self._passes = Passes(split, args.token_budget)
        use_cache = getattr(model.config, "use_cache", None)
        context = context_length(model.config)
        if eval_dataset is None and validate is not None:
            eval_dataset = []  # the Trainer requires one
        super().__init__(
            model=model,
            args=args,
            train_dataset=EncodedGroups(train_dataset, encode, context),
            eval_dataset=None if eval_dataset is None else EncodedGroups(eval_dataset, encode, context),
            processing_class=processing_class,
            data_collator=cast(Any, partial(split, token_budget=args.token_budget)),
            **kwargs,
        )
        self._resources = StepResources()
        self.add_callback(self._resources)
        if self._sharded:
            check_sharded(args, self.accelerator)
        if use_cache is not None:
            model.config.use_cache = use_cache  # the Trainer's setting would be saved; forward passes give their own
        if self.alignment_loss.needs_reference and args.alignment_weight:
            self._set_reference(reference_logprobs)

    def _set_reference(self, given: Sequence[GroupLogprobs | Sequence[float]] | None) -> None:
        for dataset in (self.train_dataset, self.eval_dataset):
            if isinstance(dataset, EncodedGroups):
                computed = dataset is not self.train_dataset or given is None
                dataset.set_reference(self._reference_logprobs(dataset) if computed else cast(Any, given))

    def _reference_logprobs(self, dataset: EncodedGroups) -> list[GroupLogprobs]:
        """Those under the model as it is, in the precision of training. A resumed run loads its checkpoint's weights only later."""
        training = self.model.training
        self.model.eval()
        with self.autocast_smart_context_manager():
            scored = list(group_logprobs(self.model, dataset, token_budget=self.args.token_budget))
        self.model.train(training)
        named = zip(dataset, scored, strict=True)
        return [GroupLogprobs(problem_id=group.problem_id, sums=item.sums, lengths=item.lengths) for group, item in named]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of whole groups; of several processes each has its share of a step's groups, none twice."""
        args = self.args
        batches = StepBatches(
            self._get_train_sampler(),
            args.per_device_train_batch_size,
            args.world_size,
            args.process_index,
            drop_last=args.dataloader_drop_last,
        )
        return DataLoader(
            cast(Any, self.train_dataset),
            batch_sampler=batches,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        args, num_tokens = self.args, cast(EncodedGroups, self.train_dataset).num_tokens
        if args.train_sampling_strategy == "sequential":
            return SequentialSampler(num_tokens)
        seed = args.seed if args.data_seed is None else args.data_seed
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return LongestFirst(num_tokens, seed, step if args.train_sampling_strategy == "group_by_length" else None)

    @staticmethod
    def get_optimizer_cls_and_kwargs(args: Any, model: Any = None) -> tuple[Any, Any]:
        """That of transformers, which rounds bfloat16 weights at random if they are to be trained."""
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(args, model)
        allow_projections(args.optim)
        return (with_rounding(kind, args.seed) if args.weights == "bfloat16" else kind), settings

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of transformers, except for its warm-up (aftune.training.schedule)."""
        if self.lr_scheduler is None:
            schedule = super().create_scheduler(num_training_steps, optimizer)
            self.lr_scheduler: Any = warm_from_the_first_step(schedule, self.args.get_warmup_steps(num_training_steps))
        return self.lr_scheduler

    def _needs(self, qualities_P_G: Tensor, in_alignment_P_G: Tensor) -> tuple[Tensor, Tensor]:
        """The candidates that are in a pair, and those of them that get a gradient from the loss."""
        pairs_P_G_G = losses.ordered_pairs(qualities_P_G, in_alignment_P_G)
        return pairs_P_G_G.any(1) | pairs_P_G_G.any(2), self.alignment_loss.needs_gradient(pairs_P_G_G)

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Tensor:
        """Groups, VFT tokens, tokens with gradients and all tokens of the whole optimizer step over all processes: [4], float32."""
        passes = [part for batch in batch_samples for part in batch["passes"]]
        num_groups = sum(len(batch["problems"]) for batch in batch_samples)
        num_sft_tokens = sum(int(part["response_lengths"][part["in_sft"]].sum()) for part in passes)
        rows = [row for part in passes for row in part["rows"]]
        with_gradient = sum(row["num_tokens"] for row in rows if row["needs_gradient"])
        num_tokens = sum(row["num_tokens"] for row in rows)
        counts = torch.tensor([num_groups, num_sft_tokens, with_gradient, num_tokens], dtype=torch.float32, device=device)
        return cast(Tensor, self.accelerator.reduce(counts, "sum"))

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Batch], Any]:
        """The batches of an optimizer step."""
        self._resources.begin()
        self._batches, counts = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._resources.add(int(counts[3]))
        if self._sharded:
            even_passes(self._batches, shared_prefix=self._shared_prefix)
        self._step_loss = torch.zeros((), device=device)
        return self._batches, counts

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Forward and backward of each pass of a batch. Out of memory, the batch is computed again in passes of half as many
        tokens, and so are all later ones: the gradients are the same.

        Not where a step has several batches, since the gradients of the earlier ones are among what is lost, and not in sharded
        processes, which have to do the same work at the same time.
        """
        ends_step, take_back = self.accelerator.sync_gradients, self._metrics.kept()
        batch = self._use(inputs, self._passes.fitting(inputs))
        while True:
            try:
                return self._compute_passes(model, batch, num_items_in_batch)
            except RuntimeError as error:
                if self._sharded or self.args.gradient_accumulation_steps > 1:
                    raise
                batch = self._use(batch, self._passes.smaller(batch, error))
            self.accelerator.sync_gradients = ends_step
            take_back()
            model.zero_grad(set_to_none=True)
            release_memory()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _use(self, batch: Batch, other: Batch) -> Batch:
        """The other batch in place of one of the step."""
        self._batches = [other if known is batch else known for known in self._batches]
        return other

    def _compute_passes(self, model: Any, batch: Batch, num_items_in_batch: Tensor | int | None) -> Tensor:
        """Gradients are exchanged between processes with the last pass."""
        passes = batch["passes"]
        self._metrics.begin(self.state.global_step)
        loss = torch.zeros((), device=self.args.device)
        several = self.accelerator.num_processes > 1 and not self._sharded
        ends_step = self.accelerator.sync_gradients
        with rows_of_segments(model):  # gradient checkpointing computes forward passes within the backward pass
            for place, part in enumerate(passes):
                self.accelerator.sync_gradients = ends_step and place == len(passes) - 1  # DeepSpeed changes the weights then
                with self.accelerator.no_sync(model) if several else nullcontext():
                    loss += super().training_step(model, cast(Any, part), num_items_in_batch)
        self.accelerator.sync_gradients = ends_step
        if several and ends_step:
            exchange_gradients(model, self.accelerator)
        self._step_loss += loss
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Checks the loss and gradient of a step, just before the weights change."""
        norm = super()._get_grad_norm(model, grad_norm)
        scaled = self.accelerator.scaler is not None  # the scaler skips steps whose gradients are too large for float16
        self._check_finite(self.state.global_step + 1, self._step_loss, 0.0 if norm is None or scaled else norm)
        return norm

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, but checks the loss of the last step's batches once more after it."""
        output = super().train(*args, **kwargs)
        self._take_final_weights()
        training = self.model_wrapped.training
        self.model_wrapped.eval()
        losses = [self.prediction_step(self.model_wrapped, batch, True)[0] for batch in self._batches]
        self.model_wrapped.train(training)
        self._check_finite(self.state.global_step, sum(losses))
        return output

    def _take_final_weights(self) -> None:
        """Schedule-free optimizers train at other weights than those that they give; each step changes back by itself."""
        if callable(getattr(self.optimizer, "eval", None)):
            self.optimizer.eval()

    def _check_finite(self, step: int, loss: Any, norm: Any = 0.0) -> None:
        """Raises TrainingError unless both are finite, after saving the groups of the step. step: counted from 1."""
        if self.accelerator.num_processes > 1:  # all processes end together
            loss = self.accelerator.reduce(torch.as_tensor(loss, device=self.args.device).float(), "sum")
        found = {"loss": float(loss), "norm of the gradients": float(norm)}
        bad = [f"the {name} is {value:g}" for name, value in found.items() if not math.isfinite(value)]
        if not bad:
            return
        process = f"-process-{self.args.process_index}" if self.args.world_size > 1 else ""
        path = Path(str(self.args.output_dir)) / f"not-finite-step-{step}{process}.jsonl"
        keep_batches(path, self._batches, cast(Any, self.processing_class))
        remedy = f"training has diverged: lower learning_rate (it is {self.args.learning_rate:g})"
        if not self.state.global_step:
            remedy = "no weight has changed yet, so the model's numbers are too large for its precision: compute in float32"
        when = "in" if step > self.state.global_step else "after"
        raise TrainingError(f"{when} step {step}: {' and '.join(bad)}; {remedy}. The groups of the batch are in {path}")

    def floating_point_ops(self, inputs: Any) -> int:
        """Operations of a step, without the parts that need no gradient: 6 per parameter and token."""
        num_tokens = sum(row["input_ids"].numel() for part in inputs["passes"] for row in part["rows"] if row["needs_gradient"])
        return 6 * int(num_tokens) * int(self.model.num_parameters())

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Tensor | int | None = None
    ) -> Any:
        """What a pass contributes to the loss of its optimizer step."""
        args = cast(AlignmentConfig, self.args)
        batch = cast(Pass, inputs)
        counts = cast(Tensor, num_items_in_batch).clamp(min=1)
        logprobs = response_logprobs(model, batch, args.kept_logits_gib * 2**30)
        sft_loss, outputs = self._sft_loss(logprobs, batch, counts), None
        loss = args.sft_weight * sft_loss
        metrics = {"sft_loss": sft_loss}
        if args.alignment_weight:
            alignment_loss, outputs = self._alignment_loss(logprobs, batch, counts)
            loss = loss + args.alignment_weight * alignment_loss
            metrics["alignment_loss"] = alignment_loss
        if self._router_weight and any(row["needs_gradient"] for row in batch["rows"]):
            if logprobs.router_loss is None:
                name = type(self.model).__name__
                raise UsageError(f"{name} returns no load-balancing loss; set model.config.output_router_logits = False")
            metrics["router_loss"] = logprobs.router_loss / counts[2]
            loss = loss + self._router_weight * metrics["router_loss"]
        if torch.is_grad_enabled():  # and not in an evaluation
            self._metrics.add_losses(metrics)
            if outputs is not None:
                self._metrics.add_means(outputs.metrics, outputs.counts)
                share, size = self._gradient_share(logprobs, batch, counts)
                self._metrics.add_means({"alignment_gradient_share": share}, {"alignment_gradient_share": size})
        # Gradients are averaged over processes, the counts are global.
        loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _sft_loss(self, logprobs: ResponseLogprobs, batch: Pass, counts: Tensor) -> Tensor:
        """What a pass contributes to the mean over the VFT tokens of the step, or over its groups."""
        count = counts[0] if cast(AlignmentConfig, self.args).sft_reduction == "token_sum" else counts[1]
        return -logprobs.sums_P_G[batch["in_sft"]].sum() / count

    def _alignment_loss(self, logprobs: ResponseLogprobs, batch: Pass, counts: Tensor) -> tuple[Tensor, losses.LossOutputs]:
        """What a pass contributes to the mean over the groups of the step."""
        inputs = losses.LossInputs(
            logprobs.scores_P_G,
            logprobs.sums_P_G,
            batch["qualities"],
            batch["in_alignment"],
            batch["reference_logprob_sums"],
            batch["padded_lengths"],
            batch["response_lengths"],
        )
        outputs = self.alignment_loss(inputs)
        return outputs.losses_P.sum() / counts[0], outputs

    def _gradient_share(self, logprobs: ResponseLogprobs, batch: Pass, counts: Tensor) -> tuple[Tensor, Tensor]:
        """|g_A| / (|g_A| + |g_VFT|) and its denominator: g is the gradient of a weighted loss with respect to the summed
        log-probabilities of the responses, |.| the sum of absolute values. No backward pass through the model is needed."""
        args = cast(AlignmentConfig, self.args)
        leaf = logprobs.sums_P_G.detach().requires_grad_()
        logprobs = replace(logprobs, sums_P_G=leaf)
        weighted = (
            args.alignment_weight * self._alignment_loss(logprobs, batch, counts)[0],
            args.sft_weight * self._sft_loss(logprobs, batch, counts),
        )
        alignment, sft = (torch.autograd.grad(loss, leaf)[0].abs().sum() for loss in weighted)
        return alignment / (alignment + sft), alignment + sft

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the losses and metrics since the last log (losses summed over an optimizer step, the rest averaged), and what they
        took: tokens per second, and the memory of the process that took most."""
        if "loss" in logs and self._metrics:
            reduce = partial(self.accelerator.reduce, reduction="sum")
            logs |= self._metrics.take(cast(Any, reduce), self.args.device)
            speed, memory = self._resources.take(self.args.device)
            most = self.accelerator.gather(torch.tensor([memory], device=self.args.device)).max()
            logs |= {"tokens_per_second": speed, "peak_memory_gib": float(most) / 2**30}
        super().log(logs, start_time)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The metrics of `validate`, with the prefix `eval_`; without `validate`, the loss on `eval_dataset`."""
        if self.validate is None:
            return cast(dict[str, float], super().evaluate(*args, **kwargs))
        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        self._take_final_weights()
        with whole(model), interrupts.at_once():
            metrics = {f"eval_{name}": value for name, value in self.validate(model).items()}
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """The loss only: full logits of all candidates would not fit."""
        counts = self._get_num_items_in_batch([inputs], self.args.device)
        if self._sharded:
            even_passes([inputs], shared_prefix=self._shared_prefix)
        with torch.no_grad():
            parts = [self.compute_loss(model, part, num_items_in_batch=counts) for part in self._prepare_inputs(inputs)["passes"]]
        return torch.stack([torch.zeros((), device=self.args.device), *parts]).sum(), None, None


def encode_for_training(
    group: Group,
    args: AlignmentConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    prompt: str | Sequence[int],
    reference: str | None,
    end_id: int | None = None,
) -> EncodedGroup:
    """A group as the trainer sees it: its first `num_candidates` samples, without those that no loss uses."""
    if args.num_candidates is not None:
        group = _part(group, [i for i, candidate in enumerate(group.candidates) if candidate.index < args.num_candidates])
    chosen = rft_choice(group, args.max_positives) if args.sft_on == "positives" else []
    if args.alignment_weight:
        return encode_group(
            tokenizer,
            group,
            prompt,
            reference=reference,
            roles=Roles(args.reference_is_candidate, chosen, use_ranks=args.feedback == "ranking"),
            end_id=end_id,
        )
    group = _part(group, chosen)
    roles = Roles(imitated=range(len(chosen)))
    encoded = encode_group(tokenizer, group, prompt, reference=reference, roles=roles, end_id=end_id)
    return replace(encoded, qualities=[None] * len(encoded.response_ids))


def _part(group: Group, places: Sequence[int]) -> Group:
    return Group(
        problem=group.problem,
        candidates=[group.candidates[place] for place in places],
        feedback=[group.feedback[place] for place in places],
    )
