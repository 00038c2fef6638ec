"""A run whose candidates, verdicts and scores come from a real Ray cluster."""

from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.pipeline.context import context_of
from aftune.pipeline.runner import run_stages
from aftune.pipeline.stages.measure import held_out_scores
from aftune.records import Group, read_records
from aftune.scoring import ScoredGroup

pytest.importorskip("ray", reason="ray is not installed: pip install 'aftune[ray]'")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]


def labelled(folder: Path, **engine: Any) -> list[Group]:
    recipe = small_run.recipe(folder, sample={"engine": engine}, evaluate={"engine": engine})
    for stage in ("prepare", "sft", "sample", "label"):
        run_stages(recipe, stage)
    return read_records(folder / "label" / "groups.jsonl", Group)


def test_candidates_verdicts_and_scores_are_those_of_this_process(ray_cluster: Any, tmp_path: Path) -> None:
    """Other batches are computed together here, so scores differ by rounding, and a sampled text now and then."""
    spread, here = labelled(tmp_path / "spread", kind="ray", workers=1), labelled(tmp_path / "here", kind="transformers")
    assert [group.problem for group in spread] == [group.problem for group in here]
    common = labels(spread).keys() & labels(here).keys()
    assert len(common) > 36
    assert all(labels(spread)[text] == labels(here)[text] for text in common)

    def scored(run: str) -> list[ScoredGroup]:
        return list(held_out_scores(context_of(tmp_path / run), "sft", spread[:12], "test", with_references=True))

    for ours, theirs in zip(scored("spread"), scored("here"), strict=True):
        assert ours.lengths == theirs.lengths
        assert ours.scores == pytest.approx(theirs.scores, abs=1e-5)


def labels(groups: list[Group]) -> dict[tuple[str, str], float]:
    """The qualities of the candidates, by problem and text."""
    return {(g.problem.id, c.text): f.quality for g in groups for c, f in zip(g.candidates, g.feedback, strict=True)}
