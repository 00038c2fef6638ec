"""How far a comparison is, by hand."""

from aftune.pipeline.compare.pace import Pace, Run


def seeds(number: int, *methods: str) -> dict[Run, float | None]:
    return {(seed, name): None for seed in range(number) for name in (None, *methods)}


def test_time_left_is_known_when_each_kind_has_ended_once() -> None:
    """Shared stages take 100 s, the VFT model, which is not trained any more, 10 s, methods 20 and 40 s, 30 in the mean."""
    pace = Pace(seeds(2, "vft", "aft", "pro"), 1)
    assert pace.position() == "0 of 8 runs done"
    pace.ended(0, None, 100)
    assert pace.position() == "1 of 8 runs done"
    pace.ended(0, "vft", 10)
    assert pace.position() == "2 of 8 runs done"
    pace.ended(0, "aft", 20)
    assert pace.position() == "3 of 8 runs done, about 3 min left"  # 100 + 10 + 3 x 20 s
    pace.ended(0, "pro", 40)
    assert pace.position() == "4 of 8 runs done, about 3 min left"  # 100 + 10 + 2 x 30 s
    pace.ended(1, None, 300)
    assert pace.position() == "5 of 8 runs done, about 70 s left"  # 10 + 2 x 30 s


def test_runs_that_finished_before_are_not_counted_but_tell_the_time() -> None:
    pace = Pace(seeds(1, "pro", "aft") | {(0, None): 50.0, (0, "pro"): 20.0}, 1)
    assert pace.position() == "0 of 1 run done, about 20 s left"
    pace.ended(0, "pro", 20)
    assert pace.position() == "0 of 1 run done, about 20 s left"


def test_runs_at_a_time_share_the_time() -> None:
    pace = Pace(seeds(1, "a", "b", "c") | {(0, None): 50.0, (0, "a"): 30.0}, 2)
    assert pace.position() == "0 of 2 runs done, about 30 s left"


def test_a_seed_whose_shared_stages_fail_has_nothing_left() -> None:
    pace = Pace(seeds(2, "vft", "aft"), 1)
    pace.failed(0, None)
    assert pace.to_do == {(1, None), (1, "vft"), (1, "aft")}
    pace.failed(1, "vft")
    assert pace.to_do == {(1, None), (1, "aft")}
