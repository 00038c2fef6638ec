"""Log-probabilities in chunks against the formula on the whole matrix of logits."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aftune.models.kernels import chunked_head
from aftune.models.kernels.chunked_head import chunk_tokens, chunked_logprobs, computed_again, replaced_head


@pytest.fixture(params=[1, 60, 2**24])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 tokens a chunk (the least), 60 // 3 = 20 of 3 words, and all at once."""
    monkeypatch.setattr(chunked_head, "CHUNK_ELEMENTS", request.param)


def made(num_tokens: int, num_words: int, dtype: torch.dtype = torch.float64, width: int = 5) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(num_tokens + num_words)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    targets = torch.randint(num_words, (num_tokens,), generator=generator)
    return draw(num_tokens, width), draw(num_words, width), draw(num_words), targets


def plain(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    return torch.nn.functional.linear(hidden, weight, bias).log_softmax(-1)[torch.arange(len(targets)), targets]


def test_by_hand() -> None:
    """hidden 1, weights 0 and ln 3: logits 0 and ln 3, probabilities 1/4 and 3/4."""
    weight = torch.tensor([[0.0], [3.0]]).log1p().mul(torch.tensor([[1.0], [0.0]]))
    weight[1] = torch.tensor(3.0).log()
    logprobs = chunked_logprobs(torch.ones(2, 1), weight, None, torch.tensor([0, 1]))
    assert logprobs.exp().tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize(("num_tokens", "num_words"), [(1, 3), (16, 3), (17, 3), (50, 7), (33, 1)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("kept_bytes", [0, 10**6])
def test_values_and_gradients_equal_the_whole_matrix(num_tokens: int, num_words: int, with_bias: bool, kept_bytes: int) -> None:
    hidden, weight, bias, targets = made(num_tokens, num_words)
    inputs = [hidden, weight, *([bias] if with_bias else [])]
    weights_M = torch.linspace(-1, 2, num_tokens, dtype=torch.float64)
    ours = chunked_logprobs(hidden, weight, bias if with_bias else None, targets, kept_bytes)
    theirs = plain(hidden, weight, bias if with_bias else None, targets)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    gradients = (torch.autograd.grad((logprobs * weights_M).sum(), inputs) for logprobs in (ours, theirs))
    for mine, judge in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, judge, rtol=1e-10, atol=1e-11)


@pytest.mark.usefixtures("_chunks")
def test_finite_differences() -> None:
    hidden, weight, bias, targets = made(18, 3)
    assert torch.autograd.gradcheck(lambda h, w, b: chunked_logprobs(h, w, b, targets), (hidden, weight, bias))


@pytest.mark.parametrize("kept_bytes", [0, 10**6])
@pytest.mark.parametrize("frozen", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_frozen_inputs_get_no_gradient_and_change_no_other(frozen: tuple[int, ...], kept_bytes: int) -> None:
    """A frozen head, as with adapters; a first layer that needs none."""
    *tensors, targets = made(20, 4)
    inputs = [tensor.detach().requires_grad_(i not in frozen) for i, tensor in enumerate(tensors)]
    weights_M = torch.linspace(-1, 2, 20, dtype=torch.float64)
    (chunked_logprobs(*inputs, targets, kept_bytes) * weights_M).sum().backward()
    (plain(*tensors, targets) * weights_M).sum().backward()
    for i, (ours, theirs) in enumerate(zip(inputs, tensors, strict=True)):
        if i in frozen:
            assert ours.grad is None
        else:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_half_precision_sums_in_float32() -> None:
    """The judge has the same rounded inputs; logits round once to bfloat16 (relative 2^-9), sums do not."""
    hidden, weight, bias, targets = made(40, 300, torch.bfloat16, width=16)
    logprobs = chunked_logprobs(hidden, weight, bias, targets)
    judge = plain(hidden.double(), weight.double(), bias.double(), targets)
    assert logprobs.dtype == torch.float32
    largest_logit = (hidden.double() @ weight.double().T + bias.double()).abs().max().item()
    assert (logprobs - judge).abs().max().item() < largest_logit * 2**-8
    logprobs.sum().backward()
    assert (hidden.grad.dtype, weight.grad.dtype) == (torch.bfloat16, torch.bfloat16)


def test_autocast_computes_in_half_precision_and_keeps_float32_gradients() -> None:
    hidden, weight, bias, targets = made(40, 300, torch.float32, width=16)
    exact = chunked_logprobs(hidden, weight, bias, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = chunked_logprobs(hidden, weight, bias, targets)
    assert rounded.dtype == torch.float32
    assert 1e-4 < (rounded - exact).abs().max().item() < 0.2
    assert torch.autograd.grad(rounded.sum(), weight)[0].dtype == torch.float32


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each product with the head had, of 16 a chunk."""
    monkeypatch.setattr(chunked_head, "CHUNK_ELEMENTS", 16 * 50)
    sizes: list[int] = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda h, *rest: (sizes.append(len(h)), linear(h, *rest))[1])
    return sizes


ONCE = [16, 16, 16, 16, 16, 16, 4]


@pytest.mark.parametrize(
    ("kept_bytes", "frozen", "times"), [(0, False, 2), (8 * 100 * 50 - 1, False, 2), (8 * 100 * 50, False, 1), (0, True, 1)]
)
def test_logits_are_computed_once_where_they_are_kept_or_not_needed_again(
    products: list[int], kept_bytes: int, frozen: bool, times: int
) -> None:
    """100 x 50 logits of 8 bytes; without them the backward pass computes them again, but for a frozen head, which needs none."""
    hidden, weight, bias, targets = made(100, 50)
    weight, bias = weight.requires_grad_(not frozen), bias.requires_grad_(not frozen)
    chunked_logprobs(hidden, weight, bias, targets, kept_bytes).sum().backward()
    assert products == ONCE * times


@pytest.mark.parametrize(("kept_bytes", "frozen", "times"), [(0, False, 3), (10**6, False, 2), (10**6, True, 2)])
def test_a_forward_pass_that_comes_again_prepares_nothing(
    products: list[int], monkeypatch: pytest.MonkeyPatch, kept_bytes: int, frozen: bool, times: int
) -> None:
    """Under a checkpoint, the first pass gives log-probabilities and no more; gradients are those without one."""
    prepared: list[int] = []
    residual_ = chunked_head._residual_
    monkeypatch.setattr(chunked_head, "_residual_", lambda *all: (prepared.append(len(all[1])), residual_(*all))[1])
    hidden, weight, bias, targets = made(100, 50)
    weight, bias = weight.requires_grad_(not frozen), bias.requires_grad_(not frozen)
    logprobs = checkpoint(
        lambda h: chunked_logprobs(h, weight, bias, targets, kept_bytes),
        hidden,
        use_reentrant=False,
        context_fn=lambda: (computed_again(), nullcontext()),
    )
    (gradient,) = torch.autograd.grad(logprobs.sum(), hidden)
    assert products == ONCE * times
    assert prepared == ONCE
    torch.testing.assert_close(gradient, torch.autograd.grad(plain(hidden, weight, bias, targets).sum(), hidden)[0])


def test_chunks_of_a_large_head_grow_with_it() -> None:
    """32,000 words: 2^24 / 32,000 = 524 tokens. 262,144 words of width 640: 64 tokens have 2^24 logits, 640 / 4 = 160."""
    assert [chunk_tokens(*shape) for shape in ((32_000, 64), (262_144, 640), (2**24, 8))] == [524, 160, 16]


@pytest.mark.parametrize(("dtype", "kept_bytes"), [(torch.float32, 0), (torch.float32, 10**6), (torch.bfloat16, 10**6)])
def test_kept_logits_go_into_the_gradient_of_the_weights_at_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, kept_bytes: int
) -> None:
    """One chunk of kept logits rounds once, chunks of 16 tokens that are computed again once each: with bfloat16 at most 2^-8 of
    the sum of what is added, in either."""
    monkeypatch.setattr(chunked_head, "CHUNK_ELEMENTS", 16 * 50)
    hidden, weight, bias, targets = made(100, 50)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logprobs = chunked_logprobs(hidden.float(), weight.float(), None, targets, kept_bytes)
    gradient = torch.autograd.grad(logprobs.sum(), weight)[0]
    judge = torch.autograd.grad(plain(hidden, weight, torch.zeros_like(bias), targets).sum(), weight)[0]
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    assert (gradient - judge).abs().max().item() < tolerance * judge.abs().max().item()


def test_kept_logits_serve_two_backward_passes() -> None:
    hidden, weight, bias, targets = made(20, 4)
    logprobs = chunked_logprobs(hidden, weight, bias, targets, 10**6).sum()
    first, second = (torch.autograd.grad(logprobs, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def wrong() -> Tensor:
    raise ValueError("wrong")


def test_the_head_comes_back(make_llama: Callable[..., Any]) -> None:
    model = make_llama()
    ids = torch.tensor([[1, 5, 6]])
    before = model(input_ids=ids).logits
    with replaced_head(model, lambda hidden, head: hidden[0, :, 0]):
        assert model(input_ids=ids).logits.shape == (3,)
    assert torch.equal(model(input_ids=ids).logits, before)
    with pytest.raises(ValueError, match="wrong"), replaced_head(model, lambda hidden, head: wrong()):
        model(input_ids=ids)
    assert torch.equal(model(input_ids=ids).logits, before)
    marked = model.lm_head.forward = lambda hidden: hidden  # as accelerate puts one there
    with replaced_head(model, lambda hidden, head: hidden):
        pass
    assert model.lm_head.forward is marked
    del model.lm_head.forward
