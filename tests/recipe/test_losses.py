"""What a recipe knows of the losses agrees with the losses themselves."""

from typing import get_args

import pytest

from aftune.losses import LOSSES as CLASSES
from aftune.losses import option_names
from aftune.recipe import AlignSection
from aftune.recipe.losses import LOSSES
from aftune.training.config import _OPTIONS


def test_the_same_losses_stand_in_the_same_order() -> None:
    assert list(LOSSES) == list(CLASSES) == list(get_args(AlignSection.model_fields["loss"].annotation))


@pytest.mark.parametrize("name", list(LOSSES))
def test_facts_of_a_loss(name: str) -> None:
    facts, made = LOSSES[name], CLASSES[name](constraint="none")
    assert facts.constraints == made.CONSTRAINTS
    assert facts.needs_reference == made.needs_reference
    common = {"constraint", "beta", "detach_boundary"}
    assert set(facts.options) == {_OPTIONS[option] for option in set(option_names(name)) - common}
    for option in set(option_names(name)) - common:
        assert getattr(AlignSection(), _OPTIONS[option]) == getattr(made, option)
