"""The report: one self-contained HTML page from what the stages of a run wrote. Knows data, no models and no folders."""

from aftune.reporting.data import LogEntry, ReportData
from aftune.reporting.page import render_page

__all__ = ["LogEntry", "ReportData", "render_page"]
