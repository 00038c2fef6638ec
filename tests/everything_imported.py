"""For the process that others are forked from: with this, all that runs need is there."""

import gc

gc.disable()  # looking for garbage among what is imported takes a fifth of the time
import small_comparison  # noqa: E402, F401

gc.enable()
gc.freeze()  # nor do stages look through it when they end
