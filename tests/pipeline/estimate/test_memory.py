"""Memory of a run by part, worked by hand for a model of a billion weights, and what would make it fit."""

from dataclasses import replace
from typing import Any

import pytest
from transformers import LlamaConfig

from aftune.pipeline.estimate import memory, remedies
from aftune.pipeline.estimate.kinds import kinds
from aftune.pipeline.estimate.machines import parse_machine
from aftune.pipeline.estimate.memory import Moment, run_memory
from aftune.pipeline.estimate.remedies import first_remedy, fits, memory_on, smallest_card, with_settings
from aftune.pipeline.estimate.rows import training_rows
from aftune.pipeline.estimate.sizes import Lengths, Sizes
from aftune.pipeline.estimate.tracing import PassMemory
from aftune.pipeline.estimate.weights import Weights
from aftune.recipe import AdapterSection, Recipe

CONFIG = LlamaConfig(
    vocab_size=1000, hidden_size=64, intermediate_size=128, num_hidden_layers=10, num_attention_heads=8, num_key_value_heads=2
)
SIZES = Sizes(100, 10, 20, Lengths(100, 50, ((100, 50), (76, 40))), k=4, k_test=4)
MILLION = 1e6


@pytest.fixture(autouse=True)
def _a_billion_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 million weights, of which 900 in linear layers, 10 in the largest, and 90 in each of ten layers; 20 million of an
    adapter; 1,000 keys and values a token. A pass holds 3 million bytes, a third of it logits, for each set of gradients that is
    there already."""

    def counted(config: Any, adapter: AdapterSection) -> Weights:
        adapted = 20 * MILLION if adapter.kind != "none" else 0.0
        return Weights(1000 * MILLION, 1000 * MILLION, 900 * MILLION, 10 * MILLION, 90 * MILLION, adapted, 10, 1000)

    def passed(
        config: Any, adapter: AdapterSection | None, shape: Any, dtype: Any, kept_bytes: float, **options: Any
    ) -> PassMemory:
        size = 4 * 20 * MILLION if adapter else dtype.itemsize * 1000 * MILLION
        factor = 0.1 if options["checkpointing"] else 1.0
        return PassMemory(size * shape.gradients, 1 * MILLION, factor * 2 * MILLION * shape.num_tokens / 600)

    monkeypatch.setattr(memory, "model_config", lambda recipe: (CONFIG, True))
    monkeypatch.setattr(memory, "count_weights", counted)
    monkeypatch.setattr(memory, "pass_memory", passed)
    monkeypatch.setattr(memory.Sizes, "of", lambda recipe: SIZES)


def recipe(kind: str = "none", **sections: Any) -> Recipe:
    align = {"token_budget": 600, "batch_size": 8, **sections.pop("align", {})}
    model = {"precision": "bfloat16", **sections.pop("model", {})}
    made = Recipe.model_validate({"run_dir": "x", "align": align, "sft": {"token_budget": 600}, "model": model, **sections})
    return with_settings(made, {"adapter.kind": kind})


def training(of: Recipe, num_processes: int = 1) -> dict[str, float]:
    """Million bytes of each part."""
    found = run_memory(of, num_processes=num_processes, gpu=True)
    assert found is not None
    moment = found.moment("training")
    assert moment is not None
    return {name: (size or 0.0) / MILLION for name, size in moment.parts.items()}


def moment(of: Recipe, name: str) -> Moment:
    found = run_memory(of, gpu=True)
    assert found is not None
    wanted = found.moment(name)
    assert wanted is not None
    return wanted


def test_parts_of_training() -> None:
    """A group has 100 + 5 x 50 = 350 tokens, so a batch of 8 has several passes of 600 tokens, and one set of gradients is there.
    Full: 4 bytes of each weight, 4 of its gradient, 8 of Adam. LoRA: the frozen weights in bfloat16, 2 each, and 4 + 4 + 8 for
    each of the adapter. QLoRA: 0.51587 for those of linear layers, 2 for the rest, and the largest layer unpacked, 2 x 10."""
    rest = {"activations": 2.0, "logits": 1.0}
    assert training(recipe()) == pytest.approx({"weights": 4000, "gradients": 4000, "optimizer": 8000, **rest})
    assert training(recipe("lora")) == pytest.approx({"weights": 2080, "gradients": 80, "optimizer": 160, **rest})
    small = {"weights": 0.515869 * 900 + 2 * 100 + 80, "gradients": 80, "optimizer": 160, "activations": 22.0, "logits": 1.0}
    assert training(recipe("qlora")) == pytest.approx(small, rel=1e-4)
    assert training(recipe("lora", model={"precision": "float32"}))["weights"] == pytest.approx(4080)


def test_weights_in_bfloat16() -> None:
    """2 bytes for each, 2 for its gradient; Adam's moments stay float32."""
    parts = training(recipe(model={"weights": "bfloat16"}))
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (2000, 2000, 8000)


def test_optimizers_differ() -> None:
    assert training(recipe(align={"optimizer": "adamw_8bit"}))["optimizer"] == pytest.approx(2000)
    assert training(recipe(align={"optimizer": "adafactor"}))["optimizer"] == 0


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        # As one process, and DDP's own copy of the gradients.
        ({"sharding": "none"}, (4000, 8000, 8000)),
        # A quarter of everything, and two layers of 90 whole in bfloat16.
        ({"sharding": "fsdp"}, (1000 + 360, 1000, 2000)),
        ({"sharding": "fsdp", "offload": True}, (360, 0, 0)),
        # Whole bfloat16 weights, a quarter of bfloat16 gradients, of Adam and of float32 weights.
        ({"sharding": "zero2"}, (2000, 500, 3000)),
        ({"sharding": "zero2", "offload": True}, (2000, 500, 0)),
    ],
)
def test_four_processes(launch: dict[str, Any], expected: tuple[float, float, float]) -> None:
    parts = training(recipe(launch={"processes": 4, **launch}), 4)
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == pytest.approx(expected)


def test_sampling_holds_keys_and_values() -> None:
    """100 x 4 responses, 256 at a time; a row has up to 100 + 192 tokens and 24 columns to spare, each with 1,000 numbers of 2
    bytes. Attention repeats those of one of 10 layers four times; 1,000 logits a row come in bfloat16 and become float32, and
    probabilities."""
    sampling = moment(recipe(), "sampling")
    cache = 256 * (100 + 192 + 24) * 1000 * 2
    assert sampling.parts == pytest.approx(
        {"weights": 2000 * MILLION, "KV cache": cache, "activations": cache / 10 * 4, "logits": 256 * 1000 * (2 + 4 + 4)}
    )
    assert moment(recipe(sample={"batch_size": 8}), "sampling").parts["KV cache"] == 8 * 316 * 2000


def test_other_moments() -> None:
    """Validation has ten rows, beside the weights as they are trained and Adam. Scores have float32 weights, under QLoRA those
    that are not in 4 bits."""
    validation = moment(recipe(), "validation").parts
    assert (validation["weights"], validation["optimizer"]) == (4000 * MILLION, 8000 * MILLION)
    assert validation["KV cache"] == 10 * 316 * 1000 * 4
    assert moment(recipe("lora"), "scores").parts["weights"] == 4000 * MILLION
    assert moment(recipe("qlora"), "scores").parts["weights"] == pytest.approx((0.515869 * 900 + 400) * MILLION, rel=1e-4)


def test_rows_of_the_stages() -> None:
    """Problems of VFT have 150 tokens: 16 of them are four rows of 600, with gradients of earlier ones. Groups of AFT have 350:
    one at a time. With a budget of 320 they are in parts of 100 + 4 x 50 and 100 + 50, and the larger of the two problems has 350:
    half of 8 groups are in parts, so two sets of gradients; a row holds at least the longest prompt and response, 100 + 192. A
    batch that is one row is longer than the mean: 350 and 276 deviate by 37 tokens, so 2 x 37 x the root of 8, 209 more; all data
    together are what they are."""
    vft, aft = training_rows(recipe(), SIZES)
    assert (vft.group, vft.at_once, vft.num_parts, vft.shape.num_tokens, vft.shape.gradients) == (150, 4, 1, 600, 1)
    assert (aft.group, aft.at_once, aft.num_parts, aft.shape.num_tokens, aft.shape.gradients) == (350, 1, 1, 600, 1)
    _, parts = training_rows(recipe(align={"token_budget": 320}), SIZES)
    assert (parts.num_parts, parts.shape.num_tokens, parts.shape.gradients) == (2, 320, 2)
    _, small = training_rows(recipe(align={"token_budget": 100}), SIZES)
    assert small.shape.num_tokens == 100 + 192
    _, alone = training_rows(recipe(align={"token_budget": 320, "batch_size": 2}), SIZES)
    assert alone.shape.gradients == 1  # the only group in parts is the first
    _, whole = training_rows(recipe(align={"token_budget": 10_000}), SIZES)
    assert (whole.shape.num_tokens, whole.shape.gradients, whole.at_once) == (8 * 350 + 209, 0, 8)
    _, everything = training_rows(recipe(align={"token_budget": 10_000}), replace(SIZES, train=4))
    assert everything.shape.num_tokens == 4 * 350


def test_more_candidates_need_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups beyond the token budget are taken in parts, each with its prompt, so 64 candidates need what 20 need."""
    for k in (20, 64):
        _, row = training_rows(recipe(), Sizes(100, 10, 20, SIZES.lengths, k=k, k_test=4))
        assert (row.shape.num_tokens, row.num_parts) == (600, {20: 3, 64: 7}[k])


def test_the_first_remedy_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """18 GiB, of which 0.93 can be used, are 17.97 GB: too little for 16 of weights, gradients and Adam with 2 of activations,
    enough with gradient checkpointing. 8 GiB take an adapter; 1.6 GiB also have no room for float32 weights of scores, so QLoRA."""
    monkeypatch.setattr(memory.Sizes, "of", lambda recipe: replace(SIZES, train=10_000))
    many = recipe(align={"token_budget": 600_000, "batch_size": 6000})
    machine = parse_machine("1x18GiB")
    found = memory_on(many, machine)
    assert found is not None
    assert not fits(found, many, machine)
    remedy = first_remedy(many, machine)
    assert remedy is not None
    assert str(remedy) == "sft.gradient_checkpointing=true align.gradient_checkpointing=true"
    adapter = first_remedy(recipe(), parse_machine("1x8GiB"))
    assert adapter is not None
    assert adapter.settings == {"adapter.kind": "lora"}
    four_bit = first_remedy(recipe(), parse_machine("1x1.6GiB"))
    assert four_bit is not None
    assert str(four_bit) == "adapter.kind=qlora"


def test_cards_share_the_weights_before_adapters_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of 16 GB, and the whole weights while VFT is validated, fit 12 GiB. Where only one card is there, LoRA does, and
    what takes more cards for it comes last."""
    remedy = first_remedy(recipe(), parse_machine("4x12GiB"))
    assert remedy is not None
    assert remedy.settings == {"launch.processes": "auto", "launch.sharding": "fsdp"}
    assert remedy.machine.number == 4
    settings = [(changed, machine.number) for changed, machine in remedies._remedies(recipe(), parse_machine("1x12GiB"))]
    assert [changed.get("adapter.kind", changed.get("launch.sharding", "own")) for changed, _ in settings] == (
        ["own"] * 3 + ["lora"] * 3 + ["qlora"] * 3 + ["fsdp"] * 15
    )
    assert {number for changed, number in settings if "launch.sharding" in changed} == {2, 4, 8, 16, 32}
    assert first_remedy(recipe(), parse_machine("1x0.1GiB")) is None


def test_kinds_of_training_take_back_what_does_not_go_with_them() -> None:
    """An adapter is trained in float32, and 4-bit weights cannot be sharded: they are counted whole."""
    short = recipe(model={"weights": "bfloat16"})
    assert [kind.recipe.model.weights for kind in kinds(short, parse_machine("1x24GiB"))] == ["bfloat16", "float32", "float32"]
    sharded = recipe(launch={"processes": 4, "sharding": "fsdp"}, align={"batch_size": 8})
    found = kinds(sharded, parse_machine("4x24GiB"))
    assert [(kind.title, kind.own, kind.recipe.launch.sharding) for kind in found] == [
        ("full", True, "fsdp"),
        ("LoRA", False, "fsdp"),
        ("QLoRA, unsharded", False, "none"),
    ]
    assert [kind.fits for kind in found] == [True, True, True]


def test_the_smallest_card_that_holds_a_run() -> None:
    """Full: 16.003 GB, which take a card of 16.003 / 0.93 = 16.03 GiB or more; LoRA with 8 rows 4.2 GB, for its scores: enough for
    a T4, which has no bfloat16."""
    for of, expected in (
        (recipe(), ("A10", "L4")),
        (recipe("lora", sample={"batch_size": 8}), ("A10", "L4")),
        (recipe("lora", sample={"batch_size": 8}, model={"precision": "float32"}), ("T4",)),
    ):
        found = run_memory(of, gpu=True)
        assert found is not None
        assert smallest_card(found, of) in expected
    huge = run_memory(recipe(), gpu=True)
    assert huge is not None
    training = Moment("training", {"weights": 200 * 2**30})
    assert smallest_card(replace(huge, moments=[training]), recipe()) is None
