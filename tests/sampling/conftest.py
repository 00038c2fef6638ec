"""Both ways to sample, for tests that must not tell them apart."""

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(params=["decoding loop", "whole batches"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The way that the engine goes from here on; the warning of the slow one is not shown."""
    if request.param == "whole batches":
        monkeypatch.setattr("aftune.sampling.transformers.engine.unsupported", lambda model, longest: "of this test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield request.param
