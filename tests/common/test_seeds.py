"""Seeds for every purpose."""

from aftune.common.seeds import derive_seed


def test_known_value() -> None:
    """Half of the first 8 bytes of sha256("0/sample") as a number.

    Candidates on disk were made with these seeds: another value here would make old runs irreproducible.
    """
    assert derive_seed(0, "sample") == 1444796784199743730


def test_every_part_counts() -> None:
    seeds = [derive_seed(run, f"p{problem}", index) for run in range(5) for problem in range(20) for index in range(10)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sum(seeds) / len(seeds) / 2**63 > 0.45
