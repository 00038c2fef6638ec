"""The trainer: counts that do not depend on batching, exact resuming, and logs that add up."""

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import DataError, UsageError
from aftune.losses import METRICS, AftLoss, BdpoLoss, DpoLoss, Loss, LossInputs, ProLoss, RrhfLoss, SimpoLoss
from aftune.models.checkpointing import SETTING
from aftune.prompts.encoding import EncodedGroup, encode_response
from aftune.records import Candidate, Feedback, Group, Problem
from aftune.scoring import group_logprobs, score_groups
from small_groups import GROUPS, SETTINGS


def trained(model: Any, tokenizer: Any, folder: Path, groups: Any = GROUPS, resume: str | None = None, **settings: Any) -> Any:
    """A trainer that has trained a copy of the model."""
    defaults = {**SETTINGS, "output_dir": str(folder), "max_steps": 6, "per_device_train_batch_size": 8}
    eval_dataset = settings.pop("eval_dataset", None)
    validate = settings.pop("validate", None)
    reference_logprobs = settings.pop("reference_logprobs", None)
    args = AlignmentConfig(**{**defaults, **settings})
    trainer = AlignmentTrainer(
        deepcopy(model),
        args,
        train_dataset=groups,
        processing_class=tokenizer,
        eval_dataset=eval_dataset,
        validate=validate,
        reference_logprobs=reference_logprobs,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def history(trainer: Any, *names: str) -> list[Any]:
    """The logged values, the timing of the whole run left out."""
    return [tuple(entry[name] for name in names) for entry in trainer.state.log_history if all(name in entry for name in names)]


def parameters(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def step_losses(model: Any, groups: list[EncodedGroup], loss: Loss) -> tuple[float, float]:
    """VFT loss a token and alignment loss a group of one optimizer step, group by group from scores."""
    nats, num_tokens, alignment = 0.0, 0, 0.0
    for group in groups:
        scores = next(score_groups(model, [group]))
        for score, ids, in_sft in zip(scores, group.response_ids, group.in_sft, strict=True):
            if in_sft:
                nats -= score * len(ids)
                num_tokens += len(ids)
        judged = [(s, q) for s, q in zip(scores, group.qualities, strict=True) if q is not None]
        if judged:
            scores_P_G = torch.tensor([[s for s, _ in judged]])
            qualities = torch.tensor([[q for _, q in judged]])
            alignment += loss(
                LossInputs(scores_P_G, scores_P_G, qualities, torch.ones_like(qualities, dtype=torch.bool))
            ).loss.item()
    return nats / num_tokens, alignment / len(groups)


@pytest.mark.parametrize(
    "settings",
    [{}, {"constraint": "detached", "alignment_weight": 0.5}, {"constraint": "none", "sft_weight": 2.0, "weight_decay": 0.1}],
)
def test_one_times_eight_equals_eight_times_one(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    model = make_llama(seed=1)
    runs = [
        trained(
            model,
            tokenizer,
            tmp_path,
            max_steps=4,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=8 // size,
            **settings,
        )
        for size in ((8, 1) if settings else (8, 1, 2))
    ]
    start = parameters(model)
    reference = parameters(runs[0].model)
    assert (reference - start).abs().max() > 0.005
    for run in runs[1:]:
        assert run.state.global_step == 4
        torch.testing.assert_close(parameters(run.model), reference, rtol=0, atol=2e-4)
        for ours, theirs in zip(
            history(run, "loss", "sft_loss", "alignment_loss", "grad_norm"),
            history(runs[0], "loss", "sft_loss", "alignment_loss", "grad_norm"),
            strict=True,
        ):
            assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("constraint", ["boundary", "detached"])
@pytest.mark.parametrize(
    "settings",
    [
        {"token_budget": 100},
        {"token_budget": 1},
        {"token_budget": 100, SETTING: True},
        {"token_budget": 10**6, "kept_logits_gib": 0.0},
        {"token_budget": 1, "kept_logits_gib": 0.0},
    ],
)
def test_what_saves_memory_changes_no_result(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any], constraint: str
) -> None:
    """Everything at once; in passes of 100 tokens, one response at a time, with activations or logits computed again."""
    model = make_llama(seed=1)
    runs = [
        trained(model, tokenizer, tmp_path, max_steps=3, per_device_train_batch_size=16, constraint=constraint, **way)
        for way in ({"token_budget": 10**6}, settings)
    ]
    assert (parameters(runs[0].model) - parameters(model)).abs().max() > 0.005
    torch.testing.assert_close(parameters(runs[1].model), parameters(runs[0].model), rtol=0, atol=2e-4)
    for ours, theirs in zip(*(history(run, "loss", "sft_loss", "alignment_loss", "grad_norm") for run in runs), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_detached_candidates_are_computed_without_gradients(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """Rows with gradients hold the reference and the better candidates only; what stands in no pair is in no row."""
    groups = [EncodedGroup("a", [1], [[5], [6], [7], [8]], [True, False, False, False], [None, 1.0, 0.0, None])]
    run = trained(make_llama(), tokenizer, tmp_path, groups=groups, max_steps=1, constraint="detached")
    (batch,) = run.get_train_dataloader()
    rows = [(row["targets_M"].tolist(), row["needs_gradient"]) for row in batch["passes"][0]["rows"]]
    assert rows == [([5, 6], True), ([7], False)]


@pytest.mark.parametrize(("name", "loss"), [("aft", AftLoss), ("rrhf", RrhfLoss), ("pro", ProLoss)])
def test_logged_losses_are_those_of_the_formulas(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, name: str, loss: Any
) -> None:
    """All groups in one step, learning rate 0: each loss computed from scores of single groups."""
    model = make_llama(seed=1)
    settings = {"max_steps": 1, "per_device_train_batch_size": 16, "learning_rate": 0.0, "beta": 0.4, "loss": name}
    run = trained(model, tokenizer, tmp_path, **settings)
    sft_loss, alignment_loss = step_losses(model, GROUPS, loss("boundary", 0.4))
    assert sft_loss > 1
    assert alignment_loss > 0.1
    assert history(run, "sft_loss", "alignment_loss", "loss")[0] == pytest.approx(
        (sft_loss, alignment_loss, sft_loss + alignment_loss), rel=1e-5
    )


def test_a_loss_gets_the_options_that_it_has(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "constraint": "detached",
        "beta": 0.4,
        "dpo_beta": 0.2,
        "simpo_gamma": 0.3,
        "bdpo_lambda": 0.7,
    }
    expected = {
        "aft": AftLoss("detached", 0.4),
        "rrhf": RrhfLoss("detached", 0.4),
        "pro": ProLoss("detached", 0.4),
        "dpo": DpoLoss("detached", 0.4, dpo_beta=0.2),
        "simpo": SimpoLoss("detached", 0.4, simpo_gamma=0.3),
        "bdpo": BdpoLoss("detached", 0.4, dpo_beta=0.2, bdpo_lambda=0.7),
    }
    assert {name: AlignmentConfig(loss=name, **settings).alignment_loss() for name in expected} == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"token_budget": 150},
        {"token_budget": 1},
        {"token_budget": 150, "per_device_train_batch_size": 5, "gradient_accumulation_steps": 4},
    ],
)
def test_unequal_passes_log_the_metrics_of_one_pass(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """All 16 groups in one step and pass; and in passes with different numbers of candidates, some without any pair. Learning
    rate 0, two steps in one log."""
    model = make_llama(seed=3)
    common = {"max_steps": 2, "per_device_train_batch_size": 16, "learning_rate": 0.0, "logging_steps": 2, "beta": 0.05}
    whole = trained(model, tokenizer, tmp_path, token_budget=10**6, **common)
    split = trained(model, tokenizer, tmp_path, **{**common, **settings})
    names = (*METRICS, "alignment_gradient_share", "sft_loss", "alignment_loss")
    assert [len(batch["passes"]) for batch in whole.get_train_dataloader()] == [1]
    sizes = {int(part["in_alignment"].sum()) for batch in split.get_train_dataloader() for part in batch["passes"]}
    assert len(sizes) > 2
    (ours,), (theirs,) = history(split, *names), history(whole, *names)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert 0 < theirs[names.index("below_boundary")] < 1
    assert 0 < theirs[names.index("pairs_in_order")] < 1


@pytest.mark.parametrize("constraint", ["none", "detached", "boundary"])
def test_share_of_the_alignment_gradient(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, constraint: str) -> None:
    """Of the VFT loss every reference has the slope -w / (reference tokens of the step); the slopes of the alignment loss are
    those with respect to the scores, divided by lengths and by the number of groups."""
    model = make_llama(seed=1)
    weights = {"sft_weight": 0.7, "alignment_weight": 1.9}
    settings = {"max_steps": 1, "per_device_train_batch_size": 16, "learning_rate": 0.0, "beta": 0.4, **weights}
    run = trained(model, tokenizer, tmp_path, constraint=constraint, token_budget=150, **settings)
    references = [ids for group in GROUPS for ids, in_sft in zip(group.response_ids, group.in_sft, strict=True) if in_sft]
    sft = 0.7 * len(references) / sum(map(len, references))
    alignment = 0.0
    for group, scores in zip(GROUPS, score_groups(model, GROUPS), strict=True):
        judged = [(s, q, len(ids)) for s, q, ids in zip(scores, group.qualities, group.response_ids, strict=True) if q is not None]
        if judged:
            leaf = torch.tensor([[s for s, _, _ in judged]], requires_grad=True)
            qualities = torch.tensor([[float(q) for _, q, _ in judged]])
            inputs = LossInputs(leaf, leaf, qualities, torch.ones_like(qualities, dtype=torch.bool))
            AftLoss(constraint, 0.4)(inputs).loss.backward()
            alignment += 1.9 * (leaf.grad[0].abs() / torch.tensor([length for _, _, length in judged])).sum().item() / len(GROUPS)
    (share,) = history(run, "alignment_gradient_share")[0]
    assert share == pytest.approx(alignment / (alignment + sft), rel=1e-4)
    assert 0.05 < share < 0.95


def test_logged_loss_is_the_weighted_sum_of_its_parts(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """11 groups in batches of 2, 4 batches a step: the second step of each epoch has 2 batches, the last of them half full."""
    run = trained(
        make_llama(seed=1),
        tokenizer,
        tmp_path,
        groups=GROUPS[:11],
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        logging_steps=2,
        sft_weight=0.7,
        alignment_weight=1.9,
    )
    logged = history(run, "loss", "sft_loss", "alignment_loss")
    assert len(logged) == 3
    for loss, sft_loss, alignment_loss in logged:
        assert loss == pytest.approx(0.7 * sft_loss + 1.9 * alignment_loss, rel=1e-4)


def test_without_alignment_weight_it_is_the_plain_mean_over_tokens(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    """Cross-entropy of transformers' own loss on the joined sequences, with plain SGD steps by hand."""
    groups = [g for g in GROUPS if any(g.in_sft)][:8]
    model = make_llama(seed=2)
    run = trained(
        model,
        tokenizer,
        tmp_path,
        groups=groups,
        max_steps=3,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        alignment_weight=0.0,
        optim="sgd",
        learning_rate=0.1,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
    )
    by_hand = deepcopy(model).train()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        nats, num_tokens = torch.zeros(()), 0
        for group in groups:
            reference = group.response_ids[group.in_sft.index(True)]
            ids = torch.tensor([group.prompt_ids + reference])
            labels = torch.tensor([[-100] * len(group.prompt_ids) + reference])
            nats = nats + by_hand(input_ids=ids, labels=labels).loss * len(reference)
            num_tokens += len(reference)
        loss = nats / num_tokens
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert [loss for (loss,) in history(run, "loss")] == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(parameters(run.model), parameters(by_hand), rtol=0, atol=1e-5)
    assert losses[2] < losses[0] - 0.1


def test_candidates_are_not_even_encoded_without_alignment_weight(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    run = trained(make_llama(seed=2), tokenizer, tmp_path, groups=text_groups(), max_steps=1, alignment_weight=0.0)
    assert [group.response_ids for group in run.train_dataset] == [
        [encode_response(tokenizer, group.problem.rationale)] for group in text_groups()
    ]
    assert not {"alignment_loss", "alignment_gradient_share", *METRICS} & set(run.state.log_history[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"save_steps": 4},
        {"save_steps": 3, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 3},
        {"save_steps": 2, "warmup_fraction": 0.5, "train_sampling_strategy": "group_by_length"},
    ],
)
def test_resumed_equals_unbroken(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any]) -> None:
    """With dropout, so that the random states have to come back too."""
    model = make_llama(seed=4, attention_dropout=0.2)
    common = {"max_steps": 8, "save_strategy": "steps", **settings}
    unbroken = trained(model, tokenizer, tmp_path / "unbroken", **common)
    checkpoint = tmp_path / "unbroken" / f"checkpoint-{settings['save_steps']}"
    resumed = trained(make_llama(seed=99, attention_dropout=0.2), tokenizer, tmp_path / "resumed", resume=str(checkpoint), **common)
    names = ("loss", "sft_loss", "alignment_loss", "grad_norm", "learning_rate", "score_better", "score_worse")
    assert len(history(unbroken, "loss")) == 8
    assert history(resumed, *names) == history(unbroken, *names)
    assert torch.equal(parameters(resumed.model), parameters(unbroken.model))


def test_resumed_with_other_dataloader_workers_equals_unbroken(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    """Groups are read in this process, then in one other."""
    common = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    unbroken = trained(make_llama(seed=4, attention_dropout=0.2), tokenizer, tmp_path / "unbroken", **common)
    resumed = trained(
        make_llama(seed=99, attention_dropout=0.2),
        tokenizer,
        tmp_path / "resumed",
        resume=str(tmp_path / "unbroken" / "checkpoint-3"),
        dataloader_num_workers=1,
        **common,
    )
    assert history(resumed, "loss", "grad_norm") == history(unbroken, "loss", "grad_norm")
    assert torch.equal(parameters(resumed.model), parameters(unbroken.model))


def test_same_seed_same_log(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    model = make_llama(seed=4, attention_dropout=0.2)
    names = ("loss", "sft_loss", "alignment_loss", "grad_norm", "pairs_in_order", "below_boundary")
    first, second = (trained(model, tokenizer, tmp_path, per_device_train_batch_size=5) for _ in range(2))
    other = trained(model, tokenizer, tmp_path, per_device_train_batch_size=5, seed=4)
    assert history(first, *names) == history(second, *names)
    assert torch.equal(parameters(first.model), parameters(second.model))
    assert history(first, "loss") != history(other, "loss")


def test_training_orders_the_candidates(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    groups = [group for group in GROUPS if len({q for q in group.qualities if q is not None}) > 1]
    run = trained(
        make_llama(seed=4), tokenizer, tmp_path, groups=groups, max_steps=30, sft_weight=0.0, learning_rate=1e-3, beta=0.5
    )
    shares = [share for (share,) in history(run, "pairs_in_order")]
    gaps = [better - worse for better, worse in history(run, "score_better", "score_worse")]
    assert shares[-1] == 1.0
    assert shares[0] < 0.9
    assert gaps[-1] > gaps[0] + 0.2


def text_groups() -> list[Group]:
    return [
        Group(
            problem=Problem(id=f"p{n}", task="t", question=f"What is {n}+1?", gold_answer=str(n + 1), rationale=f"{n}+1={n + 1}"),
            candidates=[
                Candidate(problem_id=f"p{n}", index=0, text=f"It is {n + 1}."),
                Candidate(problem_id=f"p{n}", index=1, text=f"It is {n}."),
            ],
            feedback=[Feedback(quality=1, reason="matched"), Feedback(quality=0, reason="different")],
        )
        for n in range(3)
    ]


def test_groups_of_text_are_encoded_with_the_prompt_template(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    run = trained(
        make_llama(),
        tokenizer,
        tmp_path,
        groups=text_groups(),
        max_steps=1,
        prompt_template="Q {question} A ",
        reference_is_candidate=False,
    )
    encoded = run.train_dataset[1]
    assert tokenizer.decode(encoded.prompt_ids) == "<s>Q What is 1+1? A "
    assert [tokenizer.decode(ids) for ids in encoded.response_ids] == ["1+1=2</s>", "It is 2.</s>", "It is 1.</s>"]
    assert encoded.qualities == [None, 1.0, 0.0]
    assert encoded.in_sft == [True, False, False]


def test_reference_joins_the_best_candidates_by_default(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    run = trained(make_llama(), tokenizer, tmp_path, groups=text_groups(), max_steps=1)
    assert run.train_dataset[1].qualities == [1.0, 1.0, 0.0]


def test_loss_on_held_out_groups(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    model = make_llama(seed=1)
    run = trained(model, tokenizer, tmp_path, max_steps=1, learning_rate=0.0, eval_dataset=GROUPS[:5], per_device_eval_batch_size=5)
    assert run.evaluate()["eval_loss"] == pytest.approx(sum(step_losses(model, GROUPS[:5], AftLoss())), rel=1e-5)


def test_metrics_of_validate_choose_the_best_weights(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """The second of three epochs is called the best: its weights are the ones that are kept."""
    seen: list[torch.Tensor] = []

    def validate(model: Any) -> dict[str, float]:
        assert not model.training
        seen.append(parameters(model).clone())
        return {"accuracy": (0.2, 0.6, 0.4)[len(seen) - 1]}

    run = trained(
        make_llama(),
        tokenizer,
        tmp_path,
        max_steps=-1,
        num_train_epochs=3,
        validate=validate,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        greater_is_better=True,
    )
    assert history(run, "eval_accuracy") == [(0.2,), (0.6,), (0.4,)]
    assert torch.equal(parameters(run.model), seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize("dataset", ["train_dataset", "eval_dataset"])
def test_group_longer_than_the_context_is_a_data_error(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, dataset: str
) -> None:
    model = make_llama(max_position_embeddings=20)
    fits = EncodedGroup("fits", [1] * 8, [[5] * 12], [True], [None])
    long = EncodedGroup("p/long", [1] * 8, [[5], [5] * 13], [True, False], [None, 0.0])
    datasets: dict[str, Any] = {"train_dataset": [fits], "eval_dataset": [fits]}
    args = AlignmentConfig(output_dir=str(tmp_path), use_cpu=True)
    AlignmentTrainer(model, args, processing_class=tokenizer, **datasets)
    datasets[dataset] = [fits, long]
    with pytest.raises(DataError, match=r"p/long: prompt and response have 21 tokens, the model's context is 20"):
        AlignmentTrainer(model, args, processing_class=tokenizer, **datasets)


def test_negative_memory_for_logits_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"kept_logits_gib is -1, expected 0 or more GiB"):
        AlignmentConfig(output_dir=str(tmp_path), kept_logits_gib=-1)


def test_unknown_loss_or_constraint_is_a_usage_error(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    for wrong in ({"loss": "ppo"}, {"constraint": "fence"}, {"beta": -1.0}):
        with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
            AlignmentTrainer(make_llama(), AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, **wrong), GROUPS, tokenizer)


SHARE_WITH_PAIRS = sum(len({q for q in group.qualities if q is not None}) > 1 for group in GROUPS) / len(GROUPS)
DPO: dict[str, Any] = {"loss": "dpo", "constraint": "none"}


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({"loss": "dpop"}, math.log(2)),
        ({"loss": "minor_dpo"}, math.log(2)),
        ({"loss": "bdpo"}, math.log(2)),
        ({"loss": "ipo", "ipo_beta": 2.0}, 0.25**2),
        ({"loss": "sppo", "dpo_beta": 2.0}, 2 * 0.25**2),
        ({"loss": "nca"}, 2 * math.log(2)),
        ({"loss": "apo_zero"}, 1.0),
    ],
)
def test_losses_with_a_reference_start_at_known_values(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any], start: float
) -> None:
    """h = 0: log-odds of 0 (BDPO's mixture too: log(lambda + 1 - lambda) = 0); a target of 1 / (2 b) missed once and twice; NCA has
    -log sigma(0) once for its pulls and once for the mean of its pushes; APO-zero 1 - 1/2 + 1/2."""
    common = {**DPO, "per_device_train_batch_size": 16, "max_steps": 2}
    run = trained(make_llama(seed=1), tokenizer, tmp_path, **{**common, **settings})
    ((first,), (second,)) = history(run, "alignment_loss")
    assert first == pytest.approx(SHARE_WITH_PAIRS * start, rel=1e-6)
    assert second != pytest.approx(first)  # what has a target overshoots it here


@pytest.mark.parametrize(("settings", "tolerance"), [({}, 1e-6), ({"bf16": True}, 1e-3), ({"token_budget": 1}, 1e-5)])
def test_dpo_starts_at_ln_2(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any], tolerance: float
) -> None:
    """The reference is the model itself: every group with pairs has log(1 + exp(0)), the others 0. All groups in one step."""
    common = {**DPO, "per_device_train_batch_size": 16, "max_steps": 2}
    run = trained(make_llama(seed=1), tokenizer, tmp_path, **common, **settings)
    ((first,), (second,)) = history(run, "alignment_loss")
    assert 0.2 < SHARE_WITH_PAIRS < 0.8
    assert first == pytest.approx(SHARE_WITH_PAIRS * math.log(2), abs=tolerance)
    assert second < first - 0.001


def test_the_reference_is_the_model_as_handed_over(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """Of training and held-out groups, also after training has changed the model, and with its dropout off."""
    model = make_llama(seed=4, attention_dropout=0.2).train()
    run = trained(model, tokenizer, tmp_path, **DPO, eval_dataset=GROUPS[:3], max_steps=2)
    expected = [
        [s * len(ids) for s, ids in zip(scores, group.response_ids, strict=True)]
        for group, scores in zip(GROUPS, score_groups(model.eval(), GROUPS), strict=True)
    ]
    for dataset, count in ((run.train_dataset, 16), (run.eval_dataset, 3)):
        assert len(dataset) == count
        for place in range(count):
            assert dataset[place].reference_logprobs == pytest.approx(expected[place], rel=1e-5, abs=1e-5)
    assert run.model.training


def test_dpo_resumed_equals_unbroken(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """The reference of a resumed run is that of the start model, which is handed over again, and not that of the checkpoint."""
    model = make_llama(seed=4, attention_dropout=0.2)
    common = {**DPO, "max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    unbroken = trained(model, tokenizer, tmp_path / "unbroken", **common)
    resumed = trained(model, tokenizer, tmp_path / "resumed", resume=str(tmp_path / "unbroken" / "checkpoint-3"), **common)
    names = ("loss", "alignment_loss", "grad_norm", "score_better", "score_worse", "below_boundary")
    assert len(history(unbroken, "loss")) == 6
    assert history(resumed, *names) == history(unbroken, *names)
    assert torch.equal(parameters(resumed.model), parameters(unbroken.model))


class Spy:
    """A loss that keeps what it is given."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.seen = loss, list[LossInputs]()

    def __call__(self, inputs: LossInputs) -> Any:
        self.seen.append(inputs)
        return self.loss(inputs)

    def needs_gradient(self, pairs_P_G_G: torch.Tensor) -> torch.Tensor:
        return self.loss.needs_gradient(pairs_P_G_G)


@pytest.mark.parametrize("token_budget", [10**6, 150, 1])
@pytest.mark.parametrize("constraint", ["none", "detached"])
def test_a_given_reference_is_used_and_meets_its_responses(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, token_budget: int, constraint: str
) -> None:
    """Every response has a number of its own as its reference. In the inputs of the loss each stands beside the log-probability
    of its response, whatever rows and passes the groups were split into; and the logged loss is that of DPO's formula for each
    pair."""
    model = make_llama(seed=1)
    given = [[-10.0 * p - g / 4 for g in range(len(group.response_ids))] for p, group in enumerate(GROUPS)]
    own = [group.sums for group in group_logprobs(model, GROUPS)]
    args = AlignmentConfig(
        output_dir=str(tmp_path),
        loss="dpo",
        constraint=constraint,
        token_budget=token_budget,
        max_steps=1,
        per_device_train_batch_size=16,
        learning_rate=0.0,
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = AlignmentTrainer(deepcopy(model), args, GROUPS, tokenizer, reference_logprobs=given)
    spy = Spy(trainer.alignment_loss)
    trainer.alignment_loss = spy
    trainer.train()
    met = set()
    for inputs in spy.seen:
        assert inputs.reference_logprob_sums is not None
        for p, g in inputs.mask.nonzero().tolist():
            value = inputs.reference_logprob_sums[p, g].item()
            place = round(-value // 10)
            number = round((-value - 10 * place) * 4)
            assert given[place][number] == value
            assert inputs.logprob_sums[p, g].item() == pytest.approx(own[place][number], rel=1e-4, abs=1e-4)
            assert inputs.qualities[p, g].item() == GROUPS[place].qualities[number]
            met.add((place, number))
    pairs = {
        place: [
            (w, v)
            for w, better in enumerate(group.qualities)
            for v, worse in enumerate(group.qualities)
            if better is not None and worse is not None and better > worse
        ]
        for place, group in enumerate(GROUPS)
    }
    assert met == {(place, one) for place, found in pairs.items() for pair in found for one in pair}
    losses = 0.0
    for place, found in pairs.items():
        h = [ours - theirs for ours, theirs in zip(own[place], given[place], strict=False)]
        losses += sum(math.log1p(math.exp(0.1 * (h[v] - h[w]))) for w, v in found) / max(len(found), 1)
    assert trainer.state.log_history[0]["alignment_loss"] == pytest.approx(losses / 16, rel=1e-4)


def test_rft_is_maximum_likelihood_of_references_and_positives(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    """The mean over all their tokens, from scores of the single responses; no candidate is in the alignment loss, and no loss of
    that name is logged."""
    groups = text_groups()
    model = make_llama(seed=2)
    settings = {"alignment_weight": 0.0, "sft_on": "positives", "max_steps": 1, "learning_rate": 0.0}
    run = trained(model, tokenizer, tmp_path, groups=groups, **settings)
    encoded = [run.train_dataset[place] for place in range(3)]
    assert [[tokenizer.decode(ids) for ids in group.response_ids] for group in encoded] == [
        [f"{n}+1={n + 1}</s>", f"It is {n + 1}.</s>"] for n in range(3)
    ]
    tokens = [ids for group in encoded for ids in group.response_ids]
    nats = sum(sum(group.sums) for group in group_logprobs(model, encoded))
    assert history(run, "sft_loss", "loss")[0] == pytest.approx((-nats / sum(map(len, tokens)),) * 2, rel=1e-5)
    assert "alignment_loss" not in run.state.log_history[0]
