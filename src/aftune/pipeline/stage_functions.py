"""The function of each stage, by its kind. Importing this imports all that stages need, so the runner does it when it runs one."""

from collections.abc import Callable

from aftune.pipeline.context import Context, Summary
from aftune.pipeline.stages.evaluate import evaluate
from aftune.pipeline.stages.held_out import held_out
from aftune.pipeline.stages.label import label
from aftune.pipeline.stages.measure import measure
from aftune.pipeline.stages.prepare import prepare
from aftune.pipeline.stages.reference import reference
from aftune.pipeline.stages.report import report
from aftune.pipeline.stages.rl import rl
from aftune.pipeline.stages.sample import sample
from aftune.pipeline.stages.train import align, control, sft

FUNCTIONS: dict[str, Callable[[Context], Summary]] = {
    "prepare": prepare,
    "sft": sft,
    "sample": sample,
    "label": label,
    "reference": reference,
    "align": align,
    "control": control,
    "rl": rl,
    "evaluate": evaluate,
    "report": report,
    "held_out": held_out,
    "measure": measure,
}
