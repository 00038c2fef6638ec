"""Tests that share slow fixtures run in one process of pytest-xdist, which spreads them unsaid if pytest does not fit it."""

import pytest

pytestmark = pytest.mark.xdist_group("grouping")


def test_tests_of_a_group_are_kept_together(request: pytest.FixtureRequest) -> None:
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("not run with --dist loadgroup")
    assert request.node.nodeid.endswith("@grouping")
