"""No setting of transformers is ignored: it is honoured, or refused in a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import UsageError
from aftune.prompts.encoding import EncodedGroup

GROUPS = [EncodedGroup(str(n), [1, 5], [[6] * (n + 1), [8, 2]], [True, False], [1.0, 0.0]) for n in range(64)]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("label_smoothing_factor", 0.1, "likelihood"),
        ("neftune_noise_alpha", 5.0, "noise"),
        ("average_tokens_across_devices", False, "counts over all devices"),
        ("include_num_input_tokens_seen", "all", "nothing would be counted"),
        ("label_names", ["labels"], "groups have no labels"),
        ("length_column_name", "size", "counted in tokens"),
        ("use_cache", True, "never uses a cache"),
        ("include_for_metrics", ["inputs"], "`validate`"),
        ("batch_eval_metrics", True, "`validate`"),
        ("bf16_full_eval", True, "set bf16"),
        ("fp16_full_eval", True, "set fp16"),
        ("train_sampling_strategy", "batch_rebalance", "random or sequential or group_by_length"),
        ("accelerator_config", {"dispatch_batches": True}, "would split groups"),
        ("weights", "float16", "float32 or bfloat16 or as_given"),
        ("optim", "lomo", "changes weights within each backward pass"),
        ("optim", "grokadamw", "checkpoints lack its state"),
        ("optim", "galore_adamw_layerwise", "changes weights within each backward pass"),
    ],
)
def test_settings(tmp_path: Path, name: str, value: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=f"{name}.*{reason}"):
        AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, **{name: value})


@pytest.mark.parametrize("name", ["compute_loss_func", "compute_metrics", "preprocess_logits_for_metrics"])
def test_arguments(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, name: str) -> None:
    args = AlignmentConfig(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(UsageError, match=f"AlignmentTrainer takes no {name}: "):
        AlignmentTrainer(make_llama(), args, GROUPS, tokenizer, **{name: lambda *args, **kwargs: None})


@pytest.mark.parametrize("strategy", ["random", "sequential", "group_by_length"])
def test_order_of_groups(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, strategy: str) -> None:
    """Each is what its name says, and the same whenever the epoch is asked for."""
    args = AlignmentConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        train_sampling_strategy=strategy,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
    )
    trainer = AlignmentTrainer(make_llama(), args, GROUPS, tokenizer)
    sampler: Any = trainer._get_train_sampler()
    order = list(sampler)
    assert order == list(sampler)
    assert sorted(order) == list(range(64))
    assert (order == list(range(64))) == (strategy == "sequential")
    if strategy == "group_by_length":
        steps = [order[n : n + 4] for n in range(0, 64, 4)]
        assert sum(max(step) - min(step) for step in steps) / 16 < 20  # 39 in a random order
