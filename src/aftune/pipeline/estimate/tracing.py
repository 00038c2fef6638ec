"""What a training pass holds in memory: it is run with tensors that have shapes but no numbers, and their bytes are counted.

This needs no memory and no weights, and knows what the code does: what each operation keeps for the backward pass, what is computed
again, what autocast copies, what an adapter leaves out. Models of one and of two layers are run; each further layer adds what the
second one added, and so it is with the groups of a long row.
"""

import logging
import math
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aftune.common.errors import DataError
from aftune.models.abilities import Abilities, assume, expected_abilities
from aftune.models.adapters import add_adapter
from aftune.models.checkpointing import turn_on
from aftune.models.kernels.shared_prefix import fused_attention
from aftune.models.loading import empty_model, first_layers
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import AdapterSection
from aftune.scoring import make_pass, response_logprobs, rows_of_segments
from aftune.scoring.batches import Pass

_FEW_TOKENS = 512  # of groups that are run; each further group of a longer row adds what those after them added


@dataclass(frozen=True)
class RowShape:
    """What one forward and backward pass computes: `num_tokens`, filled with prompts that have k responses each, of these lengths.

    gradients: how many sets of gradients are there already: those of earlier passes of the optimizer step, and those of earlier
    rows of a group that is computed in parts.
    """

    num_tokens: int
    prompt: int
    response: int
    k: int
    gradients: int

    def groups(self) -> list[EncodedGroup]:
        """Whole groups, and a part of another one; the last response is as long as fills the row."""
        groups, left = [], self.num_tokens
        while left > self.prompt:
            number = min(self.k, max(1, (left - self.prompt) // self.response))
            left -= self.prompt + number * self.response
            longer = left if left <= self.prompt else 0  # no room for another prompt, or the only response is too long
            ids = [[2] * self.response] * (number - 1) + [[2] * (self.response + longer)]
            groups.append(EncodedGroup("x", [1] * self.prompt, ids, [True] * number, [float(i % 2) for i in range(number)]))
        return groups


@dataclass(frozen=True)
class PassMemory:
    """Bytes at the fullest moment: gradients that are there already, logits, and everything else that a pass holds."""

    gradients: float
    logits: float
    activations: float

    @property
    def total(self) -> float:
        return self.gradients + self.logits + self.activations

    def extended(self, larger: "PassMemory", times: float) -> "PassMemory":
        """This one, plus so many times what the larger one holds beyond it."""
        pairs = zip(astuple(self), astuple(larger), strict=True)
        return PassMemory(*(own + times * (more - own) for own, more in pairs))


def pass_memory(
    config: Any,
    adapter: AdapterSection | None,
    shape: RowShape,
    dtype: torch.dtype,
    kept_bytes: float = 0,
    *,
    half: bool,
    checkpointing: bool,
    gpu: bool,
) -> PassMemory | None:
    """The memory of a training pass without the weights, or None for a model whose forward pass cannot be run without numbers.

    dtype: of the weights, but for those of an adapter. kept_bytes: as of `response_logprobs`. half: under autocast to bfloat16.
    gpu: with the attention of a GPU.
    """
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # what cannot be run is told by the caller
    run = partial(_of_long_row, config, adapter=adapter, dtype=dtype, half=half, checkpointing=checkpointing, gpu=gpu)
    num_responded = sum(len(response) for group in shape.groups() for response in group.response_ids)
    num_words = config.get_text_config(decoder=True).vocab_size
    logits = num_responded * num_words * (torch.bfloat16 if half else dtype).itemsize
    try:
        if logits <= kept_bytes:
            return run(shape, kept_bytes=math.inf)
        whole = run(shape, kept_bytes=0)
        # A shorter row whose logits are just kept may take more than one whose are not.
        shorter = replace(shape, num_tokens=int(shape.num_tokens * kept_bytes / logits))
        if adapter is not None or shorter.num_tokens <= shape.prompt + shape.response:
            return whole
        return max(whole, run(shorter, kept_bytes=math.inf), key=lambda memory: memory.total)
    except DataError:
        raise
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, StopIteration, TypeError, ValueError):
        return None  # numbers decide its way, such as which experts are used, or its layers are not in a list


def _of_long_row(config: Any, shape: RowShape, **settings: Any) -> PassMemory:
    size = shape.prompt + shape.k * shape.response
    few = math.ceil(_FEW_TOKENS / size) * size
    if shape.num_tokens <= 3 * few:
        return _of_all_layers(config, shape, **settings)
    small, larger = (_of_all_layers(config, replace(shape, num_tokens=tokens), **settings) for tokens in (few, 2 * few))
    return small.extended(larger, (shape.num_tokens - few) / few)


def _of_all_layers(config: Any, shape: RowShape, **settings: Any) -> PassMemory:
    num_layers = config.get_text_config(decoder=True).num_hidden_layers
    one = _peaks(first_layers(config, 1), shape, **settings)
    several = _peaks(first_layers(config, 2), shape, **settings) if num_layers > 1 else one
    ends = [near.extended(far, num_layers - 1) for near, far in zip(one, several, strict=True)]
    return max(ends, key=lambda peak: peak.total)


def _peaks(
    config: Any,
    shape: RowShape,
    *,
    adapter: AdapterSection | None,
    dtype: torch.dtype,
    half: bool,
    checkpointing: bool,
    gpu: bool,
    kept_bytes: float,
) -> list[PassMemory]:
    """The fullest moments around the last layer, where activations of all layers are there, and around the first, where all
    gradients are. How much each of the two takes is linear in the number of layers; which is larger depends on it."""
    model = empty_model(config, dtype)
    if adapter is not None:
        with torch.device("meta"):
            model = add_adapter(model, adapter)
    model.train()
    if checkpointing:
        turn_on(model)
    able = expected_abilities(model)
    batch = make_pass(shape.groups(), token_budget=10**9, shared_prefix=able.shared_prefix)
    with FakeTensorMode(allow_non_fake_inputs=True), fused_attention() if gpu else nullcontext():
        _without_numbers(model)
        assume(model, Abilities(able.shared_prefix, _returns_what_its_head_gives(model)))
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        held = [[torch.empty_like(weight) for weight in trained] for _ in range(shape.gradients)]
        for weight, gradient in zip(trained, held[0] if held else (), strict=False):
            weight.grad = gradient
        count = _Count(config.get_text_config(decoder=True).vocab_size, model.parameters(), held[1:])
        with count, _marking_layers(model, count):
            _pass(model, batch, half, kept_bytes)
    return count.peaks


def _pass(model: Any, batch: Pass, half: bool, kept_bytes: float) -> None:
    with rows_of_segments(model):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            sums_P_G = response_logprobs(model, batch, kept_bytes).sums_P_G
        torch.autograd.backward(sums_P_G.sum())


def _without_numbers(model: Any) -> None:
    """Gives an empty model tensors of a CPU, within the mode that makes none of them real."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    if id(tensor) not in made:
                        made[id(tensor)] = _like(tensor)
                    tensors[name] = made[id(tensor)]


def _like(tensor: Tensor) -> Tensor:
    made = torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else made


def _returns_what_its_head_gives(model: Any) -> bool:
    """Whether the model changes nothing about the logits of its head, so that they can be computed in chunks."""
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear:
        return False
    given: list[Tensor] = []
    handle = head.register_forward_hook(lambda module, args, output: given.append(output))
    with torch.no_grad():
        returned = model(input_ids=torch.zeros((1, 2), dtype=torch.long), use_cache=False).logits
    handle.remove()
    return returned is given[0]


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that are alive, except weights, and keeps the fullest moment of each phase.

    phases: those that the moment belongs to: 0, until the end of the last layer's backward pass; 1, from the start of the first
    layer's.
    """

    def __init__(self, num_words: int, weights: Iterable[Tensor], held: list[list[Tensor]]) -> None:
        """held: gradients beside those of the weights."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.num_words = num_words
        self.held = [gradient for one in held for gradient in one]
        self.weights = list(weights)
        self.seen = {weight.untyped_storage()._cdata for weight in self.weights}
        self.phases = {0}
        self.peaks = [PassMemory(0, 0, 0), PassMemory(0, 0, 0)]
        self.now = self.logits = 0
        for gradient in self._gradients():
            self._add(gradient)

    def _gradients(self) -> list[Tensor]:
        return [*self.held, *(weight.grad for weight in self.weights if weight.grad is not None)]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self._add(tensor)
        return output

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        if address in self.seen:
            return
        self.seen.add(address)
        is_logits = tensor.dim() > 1 and tensor.shape[-1] == self.num_words
        self._change(size, is_logits)
        weakref.finalize(storage, self._drop, address, size, is_logits)
        for phase in self.phases:
            if self.now > self.peaks[phase].total:
                gradients = sum(gradient.nbytes for gradient in self._gradients())
                self.peaks[phase] = PassMemory(gradients, self.logits, self.now - self.logits - gradients)

    def _drop(self, address: int, size: int, is_logits: bool) -> None:
        self.seen.discard(address)
        self._change(-size, is_logits)

    def _change(self, size: int, is_logits: bool) -> None:
        self.now += size
        self.logits += size if is_logits else 0


@contextmanager
def _marking_layers(model: Any, count: _Count) -> Iterator[None]:
    """Within the block, the count is told where in the layers a backward pass is."""
    number = model.config.get_text_config(decoder=True).num_hidden_layers
    layers = next(part for part in model.modules() if isinstance(part, torch.nn.ModuleList) and len(part) == number)

    def hooked(hook: Any, module: Any, args: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        if tensor.requires_grad:
            tensor.register_hook(hook)

    def enters_first(gradient: Tensor) -> None:
        count.phases = {0, 1} if number == 1 else {1}  # a single layer is the last one too

    def leaves_first(gradient: Tensor) -> None:
        count.phases = {1}

    embedding = model.get_input_embeddings()
    handles = [
        layers[0].register_forward_hook(partial(hooked, enters_first)),
        embedding.register_forward_hook(partial(hooked, leaves_first)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
