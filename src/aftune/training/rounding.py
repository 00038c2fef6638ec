"""Training with bfloat16 weights: an optimizer that computes in float32 and rounds at random.

bfloat16 has 8 bits of precision, so an update below 1/512 of a weight is rounded away, however often it comes. Here a weight is
rounded up or down at random, up with the probability that makes its mean the exact value (stochastic rounding, Gupta et al. 2015,
arXiv 1502.02551; for this purpose Zamirai et al. 2020, arXiv 2010.06192). Of the float32 values only one weight tensor's exist at a
time.
"""

from typing import Any

import torch
from torch import Tensor

_STEP = "rounded_steps"  # in the first group of weights, which checkpoints hold
_SPREAD = 0x9E3779B1  # 2^32 divided by the golden ratio: the steps of neighbouring seeds are far apart


def round_at_random(values: Tensor, generator: torch.Generator) -> Tensor:
    """float32 values in bfloat16, each one of its two neighbours, such that the mean is the value. What bfloat16 has stays.

    The lower 16 bits are what bfloat16 lacks: a random number of 16 bits is added, which carries over as often as they are large.
    """
    noise = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    return noise.add_(values.view(torch.int32)).bitwise_and_(-(1 << 16)).view(torch.float32).to(torch.bfloat16)


def with_rounding(optimizer: type[torch.optim.Optimizer], seed: int) -> type[torch.optim.Optimizer]:
    """The optimizer, for bfloat16 weights: its state and its arithmetic are those of float32 weights, and weights are rounded at
    random. The random numbers follow from the seed and the number of the step, also after a checkpoint and in every process.
    A weight that is not bfloat16 is trained as it is."""

    class Rounding(optimizer):  # type: ignore[valid-type, misc]
        def step(self, closure: Any = None) -> None:
            weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
            gradients = [weight.grad for weight in weights]
            for weight in weights:  # so that a step concerns one of them
                weight.grad = None
            super().step()  # of none: those of bitsandbytes look at all weights before their first step
            first = self.param_groups[0]
            first[_STEP] = first.get(_STEP, 0) + 1
            mark = (seed * _SPREAD + first[_STEP]) % (1 << 32)  # a CPU's generator takes no more bits than these
            generators: dict[torch.device, torch.Generator] = {}
            for weight, gradient in zip(weights, gradients, strict=True):
                if weight.dtype != torch.bfloat16:
                    weight.grad = gradient
                    super().step()
                    weight.grad = None
                    continue
                if weight.device not in generators:
                    generators[weight.device] = torch.Generator(weight.device).manual_seed(mark)
                long = torch.nn.Parameter(weight.detach().float())
                long.grad = gradient.float()
                _replace(self, weight, long)
                super().step()
                _replace(self, long, weight)
                weight.detach().copy_(round_at_random(long.detach(), generators[weight.device]))

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            """An optimizer loads its state in the type of its weights, so for a moment these are float32."""
            weights = [weight for group in self.param_groups for weight in group["params"] if weight.dtype == torch.bfloat16]
            pairs = [(weight, torch.nn.Parameter(torch.empty(0, device=weight.device))) for weight in weights]
            for weight, long in pairs:
                _replace(self, weight, long)
            super().load_state_dict(state_dict)
            for weight, long in pairs:
                _replace(self, long, weight)

    Rounding.__name__, Rounding.__qualname__, Rounding.__module__ = optimizer.__name__, optimizer.__qualname__, optimizer.__module__
    return Rounding


def _replace(optimizer: Any, weight: Tensor, other: Tensor) -> None:
    """Puts another weight in the place of one, with its state. A weight must not change its type itself: autograd, and with it the
    exchange of gradients between processes, would lose it."""
    for group in optimizer.param_groups:
        group["params"] = [other if one is weight else one for one in group["params"]]
    if weight in optimizer.state:
        optimizer.state[other] = optimizer.state.pop(weight)
