"""What a report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aftune.recipe import Recipe
from aftune.records import Group, GroupScores, JudgedResponse
from aftune.reporting.curves import LogEntry


@dataclass(frozen=True)
class ReportData:
    """Everything on the page; the same data gives the same page, byte for byte.

    stages: the manifest's entries for the stages that belong to the run, in their order.
    versions, machine: as in the manifest.
    metrics: the content of `evaluate/metrics.json`.
    left_out: the problems, and the rationales of problems that stay, that `prepare` left out: split, id, reason and what.
    model_folder: where the aligned model is.
    logs: the training log of each stage that trains.
    groups: the held-out groups; by model, scores of each group's candidates and verdicts on the greedy answers. All may be read
        from files anew for every use.
    """

    recipe: Recipe
    stages: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    left_out: Sequence[Mapping[str, str]] = ()
    logs: Mapping[str, Sequence[LogEntry]] = field(default_factory=dict)
    groups: Sequence[Group] = ()
    model_folder: str | None = None
    scores: Mapping[str, Sequence[GroupScores]] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[JudgedResponse]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """The warnings of the stages: stage and sentence."""
        return [(name, text) for name, entry in self.stages.items() for text in entry.get("warnings", ())]

    def summary(self, stage: str) -> Mapping[str, Any]:
        """A stage's summary in the manifest; empty if it did not run."""
        summary: Mapping[str, Any] = self.stages.get(stage, {}).get("summary", {})
        return summary
