"""How long a run would take on a card that is not here, from its data sheet: rough."""

from aftune.pipeline.estimate.machines import Card
from aftune.pipeline.estimate.sizes import lengths
from aftune.pipeline.estimate.speed import Speed
from aftune.pipeline.estimate.weights import WEIGHT_BYTES, Weights
from aftune.recipe import Recipe

PEAK_SHARE = 0.35  # of the peak rate of products, and of the memory's bandwidth, that a run is taken to reach
UNCERTAIN = 2.0  # factor up and down
_LAYER_STEP = 1e-3  # seconds that a layer takes at least in a decoding step: its operations are started one by one
_ADAMW_BYTES = 28  # read or written for a weight in an optimizer step: weight, gradient and two moments, three of them written


def card_speed(recipe: Recipe, weights: Weights, card: Card, num_processes: int) -> Speed:
    """The speed of so many processes with a card each, which share the work.

    recipe: with its precision settled. Products take operations from the peak rate; a decoding step reads all weights, and the
    keys and values of each row.
    """
    half = recipe.model.precision == "bfloat16"
    dtype = "bfloat16" if half else "float32"
    rate = PEAK_SHARE * 1e12 * (card.bfloat16 if half else card.float32)
    bandwidth = PEAK_SHARE * 1e9 * card.bandwidth
    products = weights.products
    size = lengths(recipe)
    kept = weights.cached * WEIGHT_BYTES[dtype] * (size.prompt + size.response / 2)
    four_bit = recipe.adapter.kind == "qlora"
    step = max(weights.size(dtype, four_bit=four_bit) / bandwidth, _LAYER_STEP * weights.num_layers)
    trained = weights.adapted if recipe.adapter.kind != "none" else weights.total
    return Speed(
        trained=products / rate / num_processes,
        scored=2 * products / (PEAK_SHARE * 1e12 * card.float32) / num_processes,
        optimizer_step=_ADAMW_BYTES * trained / bandwidth,
        decoding_step=step / num_processes,
        decoding_row=(2 * products / rate + kept / bandwidth) / num_processes,
    )
