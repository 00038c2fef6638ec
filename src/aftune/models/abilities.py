"""What a model can do, found out by trying it on a few tokens."""

import warnings
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from aftune.common.errors import DataError
from aftune.models.adapters import base_of
from aftune.models.kernels.chunked_head import chunked_logprobs, replaced_head
from aftune.models.kernels.shared_prefix import Segment, row_arguments, shared_prefix_attention
from aftune.models.probe import distance, float32_weights, ordinary_probe

_SUPPORTED_LAYERS = {"full_attention", "sliding_attention"}
# How far summing in another order may move the logits in float32, as a share of them: measured 2e-7 to 1e-6.
_ROUNDING = 1e-4
# Error of a row with a shared prompt in bfloat16 or float16, at most this many times the model's own; measured 0.9 to 1.8.
_TIMES_OWN_ERROR = 3.0


@dataclass(frozen=True)
class Abilities:
    """shared_prefix: takes rows in which responses share their prompt. chunked_head: its logits are a linear function of
    its last hidden states, so they can be computed in chunks."""

    shared_prefix: bool
    chunked_head: bool


_known: WeakKeyDictionary[Any, Abilities] = WeakKeyDictionary()


def abilities(model: Any) -> Abilities:
    """Compares both shortcuts with the model's own logits, once per model; warns of each one that the model does not allow."""
    if model not in _known:
        training = model.training
        model.eval()
        with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
            trial = _Trial(model)
            obstacle, chunked_head = trial.obstacle_to_sharing(), trial.chunked_head()
        model.train(training)
        name = type(model).__name__
        if obstacle:
            text = f"{name} cannot share a prompt between responses ({obstacle}): each is computed with its own prompt"
            warnings.warn(text, stacklevel=2)
        if not chunked_head:
            warnings.warn(f"{name} changes its logits after the head: they are held for all tokens at once", stacklevel=2)
        _known[model] = Abilities(not obstacle, chunked_head)
    return _known[model]


def expected_abilities(model: Any) -> Abilities:
    """What can be told without weights: shared prefixes, unless the kinds of layers are known not to allow them."""
    return Abilities(not _obvious_obstacle(model), chunked_head=True)


def assume(model: Any, expected: Abilities) -> None:
    """Takes abilities of a model without weights as they are given, since it cannot be tried."""
    for known in {model, base_of(model)}:
        _known[known] = expected


def _obvious_obstacle(model: Any) -> str:
    if layers := set(getattr(model.config, "layer_types", None) or ()) - _SUPPORTED_LAYERS:
        return f"it has layers of {' and '.join(sorted(layers))}"
    if not getattr(model, "_supports_attention_backend", False):
        return "its attention cannot be replaced"
    return ""


class _Trial:
    """Tries both shortcuts in float32 with the model's weights, where they must give the same numbers, and the shared prefix also
    in the weights' own type, where its error must not be much larger than the model's own."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.probe = ordinary_probe(model.config)

    def obstacle_to_sharing(self) -> str:
        """Why prompts cannot be shared, in words; '' where they can."""
        if obstacle := _obvious_obstacle(self.model):
            return obstacle
        try:
            with float32_weights(self.model):
                truth_M_V, shared_M_V = self._own(), self._shared()
            if not torch.isfinite(truth_M_V).any():
                return ""  # scoring raises an error for it
            if not (error := distance(shared_M_V, truth_M_V)) <= _ROUNDING:
                return f"its logits change by {error:.1%}"
            if self.model.dtype in (torch.float32, torch.float64):
                return ""
            own, error = distance(self._own(), truth_M_V), distance(self._shared(), truth_M_V)
        except DataError:
            raise
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as failure:
            return f"it does not take rows of segments: {str(failure).partition(chr(10))[0][:100]}"
        if not error <= _TIMES_OWN_ERROR * own + _ROUNDING:
            return f"in {self.model.dtype} its logits are off by {error:.1%}, without sharing by {own:.1%}"
        return ""

    def chunked_head(self) -> bool:
        head = self.model.get_output_embeddings()
        if type(head) is not torch.nn.Linear:  # an adapter on the head is more than its weight
            return False
        ids = torch.tensor([self.probe.prompt], device=self.model.device)
        targets_M = ids[0, 1:]

        def logprobs(hidden: Tensor, head: torch.nn.Linear) -> Tensor:
            return chunked_logprobs(hidden[0, :-1], head.weight, head.bias, targets_M)

        with float32_weights(self.model):
            with replaced_head(self.model, logprobs):
                ours_M = self.model(input_ids=ids, use_cache=False).logits
            logits_M_V = self.model(input_ids=ids, use_cache=False).logits[0, :-1]
        if not torch.isfinite(logits_M_V).any():
            return True
        return distance(ours_M, logits_M_V.float().log_softmax(-1).gather(1, targets_M[:, None])[:, 0]) <= _ROUNDING

    def _own(self) -> Tensor:
        """[M, V], the logits of all response tokens, each response computed as one text with the prompt."""
        texts = [torch.tensor([self.probe.prompt + ids], device=self.model.device) for ids in self.probe.responses]
        logits = [self.model(input_ids=ids, use_cache=False).logits[0, len(self.probe.prompt) :] for ids in texts]
        return torch.cat(logits)

    def _shared(self) -> Tensor:
        """The same logits, from one shared row."""
        prompt, responses, device = self.probe.prompt, self.probe.responses, self.model.device
        lengths = tuple(map(len, responses))
        ids = prompt + [token for response in responses for token in response]
        positions = [*range(len(prompt)), *(len(prompt) + t for length in lengths for t in range(length))]
        with shared_prefix_attention(self.model):
            logits: Tensor = self.model(
                input_ids=torch.tensor([ids], device=device),
                position_ids=torch.tensor([positions], device=device),
                use_cache=False,
                **row_arguments([Segment(0, len(prompt), lengths)], device, self.model.config),
            ).logits
        return logits[0, len(prompt) :]
