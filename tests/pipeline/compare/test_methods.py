"""Methods by name: what each changes in the recipe, and what an error says."""

from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import UsageError
from aftune.pipeline.compare.methods import METHODS, parse
from aftune.pipeline.compare.runs import comparison
from aftune.pipeline.registry import needs_reference
from aftune.recipe import AlignSection, Recipe, with_settings

BOUNDED = ("aft", "rrhf", "pro", "dpo", "simpo", "dpop", "nca", "infonca")
RECIPE = Recipe(run_dir=Path("runs/x"), seed=3, align=AlignSection(beta=0.15))


def complaint(text: str) -> str:
    """The one line that a method's name gives, at once or with a recipe."""
    with pytest.raises(UsageError) as caught:
        comparison(RECIPE, [text])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stages(text: str, **changes: Any) -> list[str]:
    method = parse(text)
    return [stage.name for stage in method.stages(method.recipe(RECIPE.model_copy(update=changes)))]


@pytest.mark.parametrize(
    ("name", "title", "align"),
    [
        ("rft", "RFT", {"alignment_weight": 0.0, "sft_on": "positives"}),
        ("rrhf", "RRHF", {"loss": "rrhf", "constraint": "none"}),
        ("pro-dc", "PRO-DC", {"loss": "pro", "constraint": "detached"}),
        ("dpo-bc", "DPO-BC", {"loss": "dpo", "constraint": "boundary", "beta": "auto"}),
        ("nca-bc:beta=9", "NCA-BC, beta 9", {"loss": "nca", "constraint": "boundary", "beta": 9.0}),
        ("aft", "AFT", {"loss": "aft", "constraint": "none"}),
        ("minor-dpo-dc", "MinorDPO-DC", {"loss": "minor_dpo", "constraint": "detached"}),
        ("ipo:ipo_beta=2", "IPO, ipo beta 2", {"loss": "ipo", "constraint": "none", "ipo_beta": 2.0}),
        ("aft:sft_on=positives", "AFT, VFT on right samples too", {"loss": "aft", "constraint": "none", "sft_on": "positives"}),
        ("sppo", "SPPO", {"loss": "sppo", "constraint": "none", "alignment_weight": 0.005}),
        ("rpo", "RPO", {"loss": "dpo", "constraint": "none", "sft_on": "positives"}),
        ("aft-bc:beta=0.3", "AFT-BC, beta 0.3", {"loss": "aft", "constraint": "boundary", "beta": 0.3}),
        ("aft-bc:beta=auto", "AFT-BC, beta auto", {"loss": "aft", "constraint": "boundary", "beta": "auto"}),
        ("aft-bc:k=4", "AFT-BC, k 4", {"loss": "aft", "constraint": "boundary", "num_candidates": 4}),
        ("aft-dc:feedback=ranking", "AFT-DC, ranking", {"loss": "aft", "constraint": "detached", "feedback": "ranking"}),
        (
            " pro:feedback=ranking:dpo_beta=1:k=2 ",
            "PRO, ranking, DPO’s beta 1, k 2",
            {"loss": "pro", "constraint": "none", "feedback": "ranking", "dpo_beta": 1.0, "num_candidates": 2},
        ),
    ],
)
def test_a_name_with_settings_changes_these_keys_and_no_others(name: str, title: str, align: dict[str, Any]) -> None:
    method = parse(name)
    assert (method.name, method.title) == (name.strip(), title)
    resolved = method.recipe(RECIPE)
    assert resolved == RECIPE.model_copy(update={"align": RECIPE.align.model_copy(update=align)})


def test_controls_change_what_they_match() -> None:
    for name, match in (("vft-steps", "steps"), ("vft-compute", "compute")):
        assert parse(name).recipe(RECIPE) == RECIPE.model_copy(
            update={"control": RECIPE.control.model_copy(update={"match": match})}
        )
    assert parse("vft").recipe(RECIPE) == RECIPE


def test_every_loss_has_the_constraints_that_it_takes() -> None:
    bounded = [f"{loss}{suffix}" for loss in BOUNDED for suffix in ("", "-dc", "-bc")]
    others = [f"{loss}{suffix}" for loss in ("ipo", "minor-dpo", "bdpo", "sppo", "apo-zero") for suffix in ("", "-dc")]
    assert sorted(METHODS) == sorted(["vft", "vft-steps", "vft-compute", "rft", "rpo", "grpo", "rloo", *bounded, *others])
    assert all(name == parse(name).name == method.name for name, method in METHODS.items())


def test_folders_have_no_colons_and_differ() -> None:
    names = ["aft-bc", "aft-bc:beta=0.3", "aft-bc:beta=0.3:k=2", "aft-bc:k=2"]
    assert [parse(name).folder for name in names] == ["aft-bc", "aft-bc,beta=0.3", "aft-bc,beta=0.3,k=2", "aft-bc,k=2"]
    wanted = comparison(RECIPE, names)
    assert wanted.method_recipe(wanted.methods[2], 5).run_dir == Path("runs/x/seed-5/methods/aft-bc,beta=0.3,k=2")
    assert wanted.method_recipe(wanted.methods[2], 5).seed == 5


def test_stages_of_a_method() -> None:
    """Rounds are of methods that align; the start of another method's reference is not its own."""
    assert stages("vft") == ["measure"]
    assert stages("vft-compute") == ["control", "measure"]
    assert stages("rft") == ["align", "measure"]
    assert stages("dpo") == ["align", "measure"]
    assert stages("aft:rounds=3") == ["align", "sample-2", "label-2", "align-2", "sample-3", "label-3", "align-3", "measure"]
    assert stages("dpo:rounds=2") == ["align", "sample-2", "label-2", "reference-2", "align-2", "measure"]
    assert stages("vft-steps:rounds=2") == ["control", "measure"]
    assert stages("aft", rounds=2) == ["align", "sample-2", "label-2", "align-2", "measure"]
    assert parse("aft:rounds=2").recipe(RECIPE).rounds == 2


def test_another_start_needs_a_reference_of_its_own() -> None:
    """The shared one is under the VFT model, which the recipe starts from."""
    assert stages("dpo:start=base") == ["reference", "align", "measure"]
    assert stages("aft-bc:beta=auto:start=base") == ["reference", "align", "measure"]
    assert stages("aft-bc:start=base") == ["align", "measure"]


def test_unknown_names() -> None:
    assert complaint("aft_bc").startswith("compare: there is no method 'aft_bc'; did you mean 'aft-bc'? There are vft, vft-steps, ")
    assert complaint("vft_steps").startswith("compare: there is no method 'vft_steps'; did you mean 'vft-steps'? There are ")
    assert complaint("ipo-bc") == "compare: there is no method 'ipo-bc': ipo takes no boundary; take ipo or another loss"
    assert complaint("xyz").startswith("compare: there is no method 'xyz'. There are vft, ")
    assert complaint("").startswith("compare: there is no method ''. There are vft, ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "aft:bta=1",
            "compare: 'bta=1' in 'aft:bta=1' is not a setting; did you mean 'beta'? write key=value with one of k, rounds,",
        ),
        ("aft:xqz=1", "compare: 'xqz=1' in 'aft:xqz=1' is not a setting; write key=value with one of k, rounds, "),
        ("aft:beta", "compare: 'beta' in 'aft:beta' is not a setting; write key=value with one of "),
        ("aft:", "compare: '' in 'aft:' is not a setting; write key=value with one of "),
        ("aft:seed=1", "compare: 'seed=1' in 'aft:seed=1' is not a setting; "),
        ("aft:beta=[1", "compare: 'beta=[1' in 'aft:beta=[1': the value is not valid YAML"),
        ("aft:loss=pro", "compare: 'loss=pro' in 'aft:loss=pro': a method's name says its loss and constraint; take another name"),
        ("aft:k=2:num_candidates=3", "compare: 'aft:k=2:num_candidates=3' sets align.num_candidates twice; remove one"),
        ("vft:k=2", "compare: vft is the VFT model as it is and takes no settings; remove 'k=2'"),
    ],
)
def test_unknown_settings(text: str, message: str) -> None:
    assert complaint(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aft-bc:beta=-1", "align.beta is -1: input should be greater than 0, or input should be 'auto'"),
        ("aft-bc:beta=", "align.beta is None: input should be a valid number, or input should be 'auto'"),
        ("aft-bc:k=0", "align.num_candidates is 0: input should be greater than or equal to 1"),
        ("aft-bc:k=2.5", "align.num_candidates is 2.5: "),
        ("aft-bc:feedback=rank", "align.feedback is 'rank': input should be 'task', 'binary' or 'ranking'"),
        ("aft-bc:rounds=0", "rounds is 0: input should be greater than or equal to 1"),
    ],
)
def test_values_that_do_not_fit_name_the_method_and_the_key(text: str, message: str) -> None:
    assert complaint(text).startswith(f"method {text}: {message}")


def test_every_method_is_checked_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="method aft-bc:k=-1: "):
        comparison(RECIPE, ["vft", "aft", "aft-bc:k=-1"])
    with pytest.raises(UsageError, match=r"task\.name: there is no task 'x'"):
        comparison(RECIPE.model_copy(update={"task": RECIPE.task.model_copy(update={"name": "x"})}), ["vft"])


def test_repeated_and_no_methods() -> None:
    with pytest.raises(UsageError, match=r"each once; repeated: aft:k=2, vft$"):
        comparison(RECIPE, ["vft", "aft:k=2", "pro", "vft", "aft:k=2 "])
    with pytest.raises(UsageError, match=r"each once; the list is empty$"):
        comparison(RECIPE, [])


def test_seeds_go_on_from_the_recipe() -> None:
    assert list(comparison(RECIPE, ["vft"]).seeds) == [3]
    assert list(comparison(RECIPE, ["vft"], 3).seeds) == [3, 4, 5]
    several = RECIPE.model_copy(update={"compare": RECIPE.compare.model_copy(update={"num_seeds": 2})})
    assert list(comparison(several).seeds) == [3, 4]
    assert comparison(several).names == RECIPE.compare.methods
    assert list(comparison(several, ["vft"], 1).seeds) == [3]
    shared = comparison(several).shared(4)
    assert (shared.recipe.run_dir, shared.recipe.seed) == (Path("runs/x/seed-4"), 4)


def test_without_an_alignment_loss_no_reference_is_needed() -> None:
    auto = with_settings(RECIPE, {"align.beta": "auto"}, "here")
    assert [needs_reference(parse(name).recipe(auto)) for name in ("aft-bc", "dpo", "rft")] == [True, True, False]


@pytest.mark.parametrize(
    ("methods", "needed"),
    [(["vft", "aft-bc", "rft"], False), (["vft", "dpo-dc"], True), (["aft-bc:beta=auto"], True), (["vft", "vft-steps"], False)],
)
def test_the_reference_is_shared_where_a_method_needs_it(methods: list[str], needed: bool) -> None:
    names = [stage.name for stage in comparison(RECIPE, methods).shared(3).stages]
    assert names == ["prepare", "sft", "sample", "label", *["reference"] * needed, "held_out"]
