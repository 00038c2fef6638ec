"""What is shown of a run's problems is what its stages wrote."""

from dataclasses import replace
from pathlib import Path

import pytest

from aftune.common.errors import UsageError
from aftune.pipeline.look.reading import read_problem, read_problems
from aftune.pipeline.look.scoring import scored
from aftune.records import Group, GroupScores, JudgedResponse, read_records

pytestmark = pytest.mark.xdist_group("look")


def test_problems_are_those_of_the_groups_and_the_test_set(small_finished_run: Path) -> None:
    reading = read_problems(small_finished_run)
    training = {one.problem.id: one for one in reading.problems if one.part == "training"}
    groups = {group.problem.id: group for group in read_records(small_finished_run / "label" / "groups.jsonl", Group)}
    assert {name: one.group for name, one in training.items()} == groups
    assert sum(one.part == "held out" for one in reading.problems) == 8
    mixed = [one.is_mixed for one in reading.problems]
    assert mixed == sorted(mixed, reverse=True)
    assert any(mixed)
    assert not all(mixed)
    assert reading.names == {"base": "base", "vft": "VFT", "aligned": "AFT-BC"}


def test_filters(small_finished_run: Path) -> None:
    everything = read_problems(small_finished_run).problems
    held_out = read_problems(small_finished_run, ["held out"]).problems
    assert {one.part for one in held_out} == {"held out"}
    assert [one.problem.id for one in read_problems(small_finished_run, which="mixed").problems] == [
        one.problem.id for one in everything if one.group is not None and len(set(one.group.qualities)) > 1
    ]
    verdicts = {
        name: read_records(small_finished_run / "evaluate" / name / "verdicts.jsonl", JudgedResponse) for name in ("vft", "aligned")
    }
    right = {name: {one.problem_id for one in found if one.right} for name, found in verdicts.items()}
    for which, wanted in (("gained", right["aligned"] - right["vft"]), ("lost", right["vft"] - right["aligned"])):
        assert {one.problem.id for one in read_problems(small_finished_run, which=which).problems} == wanted


def test_a_held_out_problem_has_answers_and_scores_of_three_models(small_finished_run: Path) -> None:
    folder = small_finished_run / "evaluate"
    group = read_records(folder / "groups.jsonl", Group)[0]
    [shown] = read_problem(small_finished_run, group.problem.id).problems
    assert shown.group == group
    for name in ("base", "vft", "aligned"):
        verdicts = {one.problem_id: one for one in read_records(folder / name / "verdicts.jsonl", JudgedResponse)}
        scores = {one.problem_id: one.scores for one in read_records(folder / name / "scores.jsonl", GroupScores)}
        assert shown.greedy[name] == verdicts[group.problem.id]
        assert shown.scores[name] == scores[group.problem.id]
    assert list(shown.greedy) == ["base", "vft", "aligned"]


def test_missing_scores_are_those_that_evaluate_computes(small_finished_run: Path) -> None:
    """Of a held-out group without them the same again; of a training group, which has none, as many as it has candidates."""
    folder = small_finished_run / "evaluate"
    group = next(one for one in read_records(folder / "groups.jsonl", Group) if len(one.candidates) > 1)
    reading = read_problem(small_finished_run, group.problem.id)
    bare = replace(reading, problems=[replace(reading.problems[0], scores={})])
    again, known = scored(bare, small_finished_run).problems[0].scores, reading.problems[0].scores
    assert {name: list(own) for name, own in again.items()} == {name: pytest.approx(own, abs=1e-5) for name, own in known.items()}
    assert scored(reading, small_finished_run) == reading
    training = read_records(small_finished_run / "label" / "groups.jsonl", Group)[0]
    [shown] = scored(read_problem(small_finished_run, training.problem.id), small_finished_run).problems
    assert {name: len(own) for name, own in shown.scores.items()} == dict.fromkeys(
        ("base", "vft", "aligned"), len(training.candidates)
    )


def test_an_unknown_problem_names_those_like_it(small_finished_run: Path) -> None:
    with pytest.raises(UsageError, match=r"has no problem 'arithmetic/tset/3'; did you mean 'arithmetic/test/3'"):
        read_problem(small_finished_run, "arithmetic/tset/3")


def test_what_has_no_groups_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run"):
        read_problems(tmp_path)
    (tmp_path / "recipe.yaml").write_text(f"run_dir: {tmp_path}\n")
    (tmp_path / ".lock").touch()
    with pytest.raises(UsageError, match="has no groups yet, since stage label is not finished"):
        read_problems(tmp_path)
