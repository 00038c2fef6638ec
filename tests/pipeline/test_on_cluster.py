"""A run whose candidates, verdicts and scores come from a real Ray cluster."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.pipeline.context import context_of
from aftune.pipeline.runner import run_stages
from aftune.pipeline.stages.label import judge
from aftune.pipeline.stages.measure import held_out_scores
from aftune.recipe import EngineSection
from aftune.records import Candidate, Group, read_records

pytest.importorskip("ray", reason="ray is not installed: pip install 'aftune[ray]'")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]


def test_verdicts_and_scores_are_those_of_this_process(ray_cluster: Any, tmp_path: Path) -> None:
    """Verdicts to the last byte; scores but for rounding, since other batches are computed together."""
    engine = {"kind": "ray", "workers": 1}
    recipe = small_run.recipe(tmp_path / "run", sample={"engine": engine}, evaluate={"engine": engine})
    for stage in ("prepare", "sft", "sample", "label"):
        run_stages(recipe, stage)
    context = context_of(tmp_path / "run")
    candidates = read_records(context.folder("sample") / "candidates.jsonl", Candidate)
    wanted = [(problem.id, k) for problem in context.problems("train") for k in range(3)]
    assert sorted((c.problem_id, c.index) for c in candidates) == sorted(wanted)
    assert {c.settings["engine"] for c in candidates} == {"ray"}

    here = replace(context, recipe=small_run.recipe(tmp_path / "run"))
    judge(here, here.problems("train"), context.folder("sample") / "candidates.jsonl", tmp_path / "here", EngineSection())
    for name in ("groups.jsonl", "left_out.jsonl"):
        assert (context.folder("label") / name).read_bytes() == (tmp_path / "here" / name).read_bytes()

    groups = read_records(tmp_path / "here" / "groups.jsonl", Group)[:12]
    there, own = (held_out_scores(one, "sft", groups, "test", with_references=True) for one in (context, here))
    for theirs, ours in zip(there, own, strict=True):
        assert theirs.lengths == ours.lengths
        assert theirs.scores == pytest.approx(ours.scores, abs=1e-5)
