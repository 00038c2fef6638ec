"""Which epoch of VFT is kept: the one with the highest validation accuracy and, among equal ones, the one with the lowest loss,
or by the loss alone.

The Trainer compares one number, for the weights that it keeps and for its early stopping. Accuracies over n problems differ by
1/n or more; the loss adds half of that at most, so that it decides between equal accuracies and never against a higher one.
"""

import math

KEY = "accuracy_then_loss"
FEW = 100  # validation problems: with fewer, accuracy says little about which epoch is best


def accuracy_then_loss(accuracy: float, loss: float | None, num_problems: int) -> float:
    """Larger is better. loss: mean nats per token of the references, None if there are none; of epochs with equal accuracy the
    first is then the best."""
    return accuracy + lowest_loss(loss) / (2 * num_problems)


def lowest_loss(loss: float | None) -> float:
    """Larger is better, between 0 and 1; 0 without a finite loss."""
    return 1 / (1 + max(loss, 0.0)) if loss is not None and math.isfinite(loss) else 0.0
