"""The figures on the page of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aftune.common.wording import counted
from aftune.evaluation.best_epoch import KEY
from aftune.recipe.names import CONTROLS, method_name, model_names
from aftune.reporting.curves import Curve, LogEntry, curve, curves, kept_step
from aftune.reporting.figures import (
    PER_CENT_AXIS,
    STEPS,
    Figure,
    Marker,
    decades,
    interval_mark,
    legend_above,
    share_axis,
    shortened,
    step_axis,
    values_axis,
)
from aftune.reporting.formatting import PER_CENT, number, percent, with_interval
from aftune.reporting.run.data import ReportData
from aftune.reporting.run.histograms import FEWEST, Histogram, histograms
from aftune.reporting.run.result_tables import operation_keys
from aftune.reporting.svg import COLOURS, draw

_MARKERS = {"base": "o", "vft": "s", "control": "D", "aligned": "^"}


def result_figures(data: ReportData) -> list[Figure]:
    """Accuracy and assessment accuracy with intervals, where they are known."""
    figures = [
        _intervals_figure(
            data,
            "accuracy",
            "num_problems",
            "Accuracy",
            f"Greedy accuracy on the test problems with 95{PER_CENT} intervals.",
        ),
        _intervals_figure(
            data,
            "assessment_accuracy",
            "num_assessed_problems",
            "Assessment accuracy",
            f"Share of pairs whose right candidate has the higher score, with 95{PER_CENT} intervals; guessing gives 50{PER_CENT}.",
        ),
    ]
    return [figure for figure in figures if figure is not None]


def _intervals_figure(data: ReportData, key: str, of: str, title: str, caption: str) -> Figure | None:
    """`key` and `of` are the metric and the number of problems that it is measured on."""
    results: Mapping[str, Mapping[str, Any]] = data.metrics["results"]
    names = [name for name in model_names(results, data.recipe) if results[name.key].get(key) is not None]
    if not names:
        return None

    def paint(axes: Axes) -> None:
        for place, name in enumerate(names):
            value = results[name.key][key]
            colour = COLOURS.get(name.look, COLOURS["ink"])
            interval = results[name.key].get(f"{key}_ci95")
            said = with_interval(name.label, value, interval, results[name.key].get(of))
            interval_mark(axes, value, interval, place, Marker(colour, _MARKERS.get(name.look, "o")), said)
            axes.annotate(
                percent(value), (value, place), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=10, color=colour
            )
        axes.set_yticks(range(len(names)), [shortened(name.label) for name in names], color=COLOURS["ink"])
        axes.set_ylim(len(names) - 0.5, -0.7)
        axes.grid(False, axis="y")
        axes.margins(x=0.12)
        values_axis(axes)
        axes.set_title(title)

    values = ", ".join(f"{name.label} {percent(results[name.key][key])}" for name in names)
    return Figure(draw(key, f"{title}: {values}", paint, height=0.8 + 0.45 * len(names)), caption)


def operations_figure(data: ReportData) -> Figure | None:
    """Accuracy by number of operations; None where the task does not count them or all problems have the same number."""
    tables = {key: result.get("accuracy_by_num_operations") or {} for key, result in data.metrics["results"].items()}
    keys = operation_keys(tables)
    if len(keys) < 2:
        return None

    def paint(axes: Axes) -> None:
        for name in model_names(tables, data.recipe):
            places = [place for place, key in enumerate(keys) if key in tables[name.key]]
            values = [tables[name.key][keys[place]] for place in places]
            axes.plot(
                places,
                values,
                color=COLOURS.get(name.look, COLOURS["ink"]),
                marker=_MARKERS.get(name.look, "o"),
                markersize=5.5,
                label=shortened(name.label),
            )
        axes.set_xticks(range(len(keys)), map(shortened, keys))
        axes.set_xlabel("operations")
        axes.margins(x=0.08)
        axes.set_ylim(0, 1)
        share_axis(axes)
        axes.legend(loc="best", handlelength=1.6, borderpad=0)

    return Figure(
        draw("operations", "Accuracy of each model by number of operations, as in the table", paint),
        "Accuracy on the test problems by the number of operations that a problem needs.",
    )


def score_figures(data: ReportData) -> list[Figure]:
    """Scores of right and wrong held-out candidates before and after, on the same axes; none without scores."""
    pair = histograms(data)
    if pair is None:
        return []
    top = 1.08 * max(float(shares.max()) for histogram in pair for shares in histogram.shares.values())
    return [_histogram_figure(histogram, top) for histogram in pair]


def _histogram_figure(histogram: Histogram, top: float) -> Figure:
    def paint(axes: Axes) -> None:
        for verdict, line, alpha in (("right", "-", 0.26), ("wrong", "--", 0.16)):
            if verdict in histogram.shares:
                label = f"{verdict} ({histogram.counts[verdict]:,})"
                colour = COLOURS[verdict]
                axes.stairs(histogram.shares[verdict], histogram.edges, fill=True, color=colour, alpha=alpha)
                axes.stairs(histogram.shares[verdict], histogram.edges, color=colour, linestyle=line, linewidth=1.5, label=label)
                axes.axvline(histogram.medians[verdict], color=colour, linestyle=line, linewidth=0.9)
        axes.set_xlim(histogram.edges[0], histogram.edges[-1])
        axes.set_ylim(0, top)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axes.yaxis.set_major_formatter(PER_CENT_AXIS)
        axes.set_xlabel("score, nats per token")
        axes.set_title(histogram.title, pad=28)
        legend_above(axes)

    medians = ", ".join(f"{verdict} {number(value, 4)}" for verdict, value in sorted(histogram.medians.items()))
    few = "".join(
        f" Fewer than {FEWEST} {verdict} candidates: no bars." for verdict in ("right", "wrong") if verdict not in histogram.shares
    )
    return Figure(draw(f"scores-{histogram.model}", f"{histogram.title}; medians: {medians}", paint), f"Medians: {medians}.{few}")


def vft_figures(data: ReportData) -> list[Figure]:
    """Training loss, validation loss and validation accuracy of the VFT stage."""
    log = data.logs.get("sft", ())
    loss, accuracy = curve(log, "sft_loss", "loss"), curve(log, "eval_accuracy")
    figures = []
    if loss:
        held_out = curve(log, "eval_loss")
        lines = {"": loss} if held_out is None else {"training": loss, "validation": held_out}
        caption = "Mean over reference tokens, in nats."
        figures.append(_lines_figure("sft-loss", "VFT loss", lines, ["vft", "control"], caption, log_scale=True))
    if accuracy:
        figures.append(_validation_figure(accuracy, curve(log, f"eval_{KEY}") or accuracy, data.recipe.sft.keep))
    return figures


def _validation_figure(accuracy: Curve, choice: Curve, keep: str) -> Figure:
    step = kept_step(choice)
    epoch = accuracy.steps.index(step) + 1
    best = accuracy.values[epoch - 1]
    equal = accuracy.values.count(best)

    def paint(axes: Axes) -> None:
        axes.plot(accuracy.steps, accuracy.values, color=COLOURS["vft"], marker="o", markersize=4)
        axes.axvline(step, color=COLOURS["muted"], linestyle=":", linewidth=1.2)
        axes.plot([step], [best], color=COLOURS["vft"], marker="o", markersize=10, fillstyle="none")
        right_half = step > (accuracy.steps[0] + accuracy.steps[-1]) / 2
        side = -1 if right_half else 1
        # Above the curve, which is nowhere higher; where 100 % leaves no room for that, at the bottom.
        room = best + 0.15 * (max(accuracy.values) - min(accuracy.values)) <= 1
        axes.annotate(
            f"kept: {percent(best)}",
            (step, best if room else 0.05),
            xycoords="data" if room else ("data", "axes fraction"),
            xytext=(7 * side, 7 if room else 0),
            textcoords="offset points",
            ha="right" if right_half else "left",
            va="bottom",
            fontsize=10,
        )
        axes.margins(y=0.18)
        share_axis(axes)
        step_axis(axes)
        axes.set_title("Validation accuracy")

    if keep == "loss":
        why = "; the epoch with the lowest validation loss, whatever its accuracy"
    elif equal == 1:
        why = ""
    else:
        why = f"; of {equal} epochs with this accuracy, the "
        why += "first" if choice is accuracy else "one with the lowest validation loss"
    return Figure(
        draw("validation", f"Validation accuracy by epoch; kept: {percent(best)}, after epoch {epoch}", paint),
        f"Measured after each epoch. The weights of epoch {epoch} of {len(accuracy.values)} were kept ({percent(best)}{why}).",
    )


def alignment_figures(data: ReportData) -> list[Figure]:
    """Both losses, both score curves, the shares of pairs in order and assessment accuracy, where they were logged."""
    log, control = data.logs.get("align", ()), data.logs.get("control", ())
    method, control_label = method_name(data.recipe.align), CONTROLS[data.recipe.control.match].label
    vft_losses = {
        label: found
        for label, found in ((method, curve(log, "sft_loss")), (control_label, curve(control, "sft_loss", "loss")))
        if found is not None
    }
    assessment = {
        label: found
        for label, run in ((method, log), (control_label, control))
        if (found := curve(run, "eval_assessment_accuracy")) is not None
    }
    scores = curves(log, {"score_better": "better", "score_worse": "worse"})
    has_boundary = data.recipe.align.constraint == "boundary"
    labels = {"pairs_in_order": "pairs in order"} | ({"below_boundary": "below the boundary"} if has_boundary else {})
    shares = curves(log, labels)
    loss = curve(log, "alignment_loss")
    figures = [
        _lines_figure(
            "scores",
            "Scores during alignment",
            scores,
            ["right", "wrong"],
            "Mean score of better and of worse candidates, in nats per token.",
        )
        if scores
        else None,
        _lines_figure("shares", "Pairs", shares, ["aligned", "wrong"], _shares_caption(shares), per_cent=True) if shares else None,
        _lines_figure("alignment-loss", "Alignment loss", {"": loss}, ["aligned"], "Mean over groups.") if loss else None,
        _lines_figure(
            "vft-loss", "VFT loss during alignment", vft_losses, ["aligned", "control"], _vft_caption(vft_losses, control_label)
        )
        if vft_losses
        else None,
        _lines_figure(
            "assessment",
            "Assessment accuracy during alignment",
            assessment,
            ["aligned", "control"],
            _assessment_caption(log or control),
            per_cent=True,
        )
        if assessment
        else None,
    ]
    return [figure for figure in figures if figure is not None]


def _shares_caption(shares: Mapping[str, Curve]) -> str:
    caption = "Share of pairs whose better candidate has the higher score"
    return caption + (", and share of worse candidates below the boundary." if len(shares) > 1 else ".")


def _vft_caption(losses: Mapping[str, Curve], control: str) -> str:
    caption = "Mean over the tokens that the VFT loss is taken on, in nats"
    return caption + (f"; “{control}” trains on this loss alone." if control in losses else ".")


def _assessment_caption(log: Sequence[LogEntry]) -> str:
    number = curve(log, "eval_num_assessed_problems")
    what = "training problems" if number is None else counted(int(number.values[0]), "training problem")
    return f"On the candidates of {what} that training left out, at its start and after each epoch."


def _lines_figure(
    name: str,
    title: str,
    lines: Mapping[str, Curve],
    colours: Sequence[str],
    caption: str,
    *,
    log_scale: bool = False,
    per_cent: bool = False,
) -> Figure:
    """Curves over optimizer steps; the second one is dashed, so that colour is not all that tells them apart."""
    legend = any(lines)

    def paint(axes: Axes) -> None:
        for (label, line), colour, style in zip(lines.items(), colours, ("-", (0, (4, 1.6))), strict=False):
            axes.plot(line.steps, line.values, color=COLOURS[colour], linestyle=style, label=label)
        if log_scale and _spans_decades(lines):
            axes.set_yscale("log")
            decades(axes.yaxis)
        if per_cent:
            share_axis(axes)
        step_axis(axes)
        axes.set_title(title, pad=28 if legend else None)
        if legend:
            legend_above(axes)

    described = ", ".join(f"{label or title} from {line.values[0]:.4g} to {line.values[-1]:.4g}" for label, line in lines.items())
    return Figure(draw(name, f"{title} by optimizer step: {described}", paint), caption)


def _spans_decades(lines: Mapping[str, Curve]) -> bool:
    values = np.concatenate([line.values for line in lines.values()])
    return bool(values.min() > 0 and values.max() > 10 * values.min())
