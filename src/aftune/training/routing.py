"""The load-balancing loss of models with experts."""

import logging
from typing import Any

_log = logging.getLogger(__name__)


def router_weight(model: Any) -> float:
    """The factor that transformers gives that loss; 0.0 for a model without experts. As there, the loss counts only where the
    configuration's `output_router_logits` is on; a model whose loss is left out gets a warning."""
    weight = getattr(model, "router_aux_loss_coef", None) or getattr(model, "aux_loss_coef", None) or 0.0
    if weight and not getattr(model.config, "output_router_logits", False):
        _log.warning(
            "%s: the load-balancing loss of its experts (weight %g) is left out, as in transformers, because its config's "
            "output_router_logits is off; set model.config.output_router_logits = True to train with it",
            type(model).__name__,
            weight,
        )
        return 0.0
    return float(weight)
