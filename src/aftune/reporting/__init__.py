"""The report: one self-contained HTML page made from what the stages of a run wrote, and the card of a model of it. It knows data,
but no models or folders.

May import evaluation, recipe, records and common.
"""

from aftune.reporting.curves import LogEntry
from aftune.reporting.run.data import ReportData
from aftune.reporting.run.page import render_page

__all__ = ["LogEntry", "ReportData", "render_page"]
