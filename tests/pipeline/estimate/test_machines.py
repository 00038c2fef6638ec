"""Machines by their names."""

from pathlib import Path

import pytest

from aftune.common.errors import UsageError
from aftune.pipeline.estimate.machines import CARDS, parse_machine, processes_on, this_machine
from aftune.recipe import Recipe


def test_a_number_of_cards() -> None:
    machine = parse_machine("8xh100")
    assert (machine.number, machine.card, machine.gpu, machine.has_bfloat16) == (8, CARDS["H100"], True, True)
    assert machine.usable(8) == pytest.approx(0.93 * 79.6 * 2**30)
    assert not parse_machine("1xT4").has_bfloat16


def test_a_card_by_its_memory() -> None:
    machine = parse_machine("2x24GiB")
    assert (machine.number, machine.memory, machine.card, machine.has_bfloat16) == (2, 24 * 2**30, None, True)


@pytest.mark.parametrize("wrong", ["H100", "0xH100", "1xH9000", "1x24GB", "1x0GiB", "x", "-1xH100"])
def test_an_unknown_machine_is_told_the_known_ones(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"--for: '{wrong}' is no machine that aftune knows.*1x24GiB.*A100-40.*H200"):
        parse_machine(wrong)


def test_processes_have_a_card_each() -> None:
    machine = parse_machine("4xA100-40")
    recipes = [Recipe.model_validate({"run_dir": "x", "launch": {"processes": number}}) for number in (1, "auto", 8)]
    assert [processes_on(recipe, machine) for recipe in recipes[:2]] == [1, 4]
    with pytest.raises(UsageError, match=r"launch\.processes: 8 on 4xA100-40; set 4, or auto for one on each card"):
        processes_on(recipes[2], machine)


def test_processes_on_a_cpu_share_its_memory(tmp_path: Path) -> None:
    machine = this_machine(Recipe.model_validate({"run_dir": str(tmp_path), "model": {"device": "cpu"}}))
    assert machine.memory > 2**28
    assert machine.usable(2) == machine.memory / 2
