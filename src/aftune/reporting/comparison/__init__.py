"""The page of a comparison of methods, made from compare.json, which `aftune compare` writes, and the logs of its runs."""

from aftune.reporting.comparison.baselines import headline_baseline
from aftune.reporting.comparison.examples import Greedy
from aftune.reporting.comparison.page import render_comparison

__all__ = ["Greedy", "headline_baseline", "render_comparison"]
