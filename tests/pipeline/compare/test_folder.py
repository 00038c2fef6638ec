"""Where a comparison goes."""

from pathlib import Path

import small_run
from aftune.pipeline.compare.runs import comparison
from aftune.pipeline.look.places import below, is_comparison


def test_a_comparison_of_a_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """In the run's folder, `runs` and `status` would see the run alone. A comparison that is there already stays where it is."""
    recipe = small_run.recipe(tmp_path / "own")
    assert comparison(recipe, ["vft"], 1).recipe.run_dir == tmp_path / "own"
    small_run.finish_all(recipe)
    (tmp_path / "own" / "recipe.yaml").write_text(recipe.to_yaml())
    beside = comparison(recipe, ["vft"], 1)
    assert beside.recipe.run_dir == tmp_path / "own-compare"
    assert (
        f"{tmp_path / 'own'} holds a run, so the comparison goes to {tmp_path / 'own-compare'}, with a VFT model of its own"
        in beside.notes
    )
    assert beside.shared(0).recipe.run_dir == tmp_path / "own-compare" / "seed-0"
    (tmp_path / "own" / "seed-0").mkdir()
    assert comparison(recipe, ["vft"], 1).recipe.run_dir == tmp_path / "own"
    assert list(below(tmp_path)) == [tmp_path / "own"]
    assert not is_comparison(tmp_path / "own")
