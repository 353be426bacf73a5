"""Tables and figures over all runs, as Markdown, CSV and one HTML page."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from regularizer_collection.experiments.answer import answer
from regularizer_collection.experiments.collect import load_results, tabulate
from regularizer_collection.experiments.figures import (
    accuracy_figure,
    class_map_figure,
    data_plane_figure,
    excess_smoothness_figure,
    learning_curve_figure,
    spectrum_figure,
    tv_figure,
)
from regularizer_collection.experiments.marked_part import replace_part
from regularizer_collection.experiments.page import html_page, markdown_page, markdown_table
from regularizer_collection.experiments.report_notes import reading_notes, what_was_run
from regularizer_collection.experiments.report_tables import (
    DENSITY,
    count_variants,
    report_tables,
)
from regularizer_collection.experiments.robustness_figures import robustness_figure
from regularizer_collection.experiments.robustness_tables import ROBUSTNESS, means_table, measured
from regularizer_collection.experiments.source_experiment import is_on_its_data, source_accuracy
from regularizer_collection.experiments.tables import (
    BASELINE,
    accuracy_table,
    density_table,
    interval_text,
    ratio_text,
    tv_table,
)
from regularizer_collection.runtime.paths import full_path

_PGD = "PGD 1/255 (%)"


def write_report(
    root: str,
    out: str = "report",
    allow_mixed: bool = False,
    readme: str | None = None,
    part: str = "report",
    baseline: str = BASELINE,
) -> None:
    """Writes ``report.md``, ``index.html``, one CSV for each table and one PNG for each figure.

    Args:
        root: Folder of runs, searched for ``results.json``.
        out: Folder of the report.
        allow_mixed: Whether runs may differ in epochs, data, planes or config.
        readme: File of which a part between markers becomes the summary; None writes none.
        part: Name in these markers.
        baseline: Variant that the others are compared with.

    Raises:
        FileNotFoundError: If there are no results.
        ValueError: If the results do not belong together, none is of the baseline that was asked
            for, or the readme has no markers.
    """
    results = load_results(root, allow_mixed)
    _check_baseline(baseline, results)
    df = tabulate(results)
    folder = Path(full_path(out))
    folder.mkdir(parents=True, exist_ok=True)
    tables, figures = report_tables(df, results, baseline), _figures(df, results, baseline)
    said = answer(tables[DENSITY].table, results, baseline) if DENSITY in tables else None
    for name, counted in tables.items():
        counted.flat().to_csv(folder / f"{_file_name(name)}.csv")
    for name, figure in figures.items():
        figure.savefig(folder / f"{_file_name(name)}.png", dpi=110)
        figure.set_layout_engine("none")  # laid out; the page draws it as it is
    opening = [*([] if said is None else [said.replace("\n", " ")]), what_was_run(results)]
    notes = reading_notes(df, results, baseline)
    shown = {name: counted.shown() for name, counted in tables.items()}
    (folder / "report.md").write_text(markdown_page(shown, opening, notes))
    (folder / "index.html").write_text(html_page(shown, figures, _CAPTIONS, opening, notes))
    if readme is not None:
        path = Path(full_path(readme))
        path.write_text(with_summary(path.read_text(), results, part, baseline))
    if said is not None:
        print(said)
    print(f"Report over {len(results)} runs: {folder / 'index.html'}")


def with_summary(
    text: str, results: list[dict[str, Any]], part: str = "report", baseline: str = BASELINE
) -> str:
    """Replaces what stands between the report's markers by accuracy, density and total variation.

    Raises:
        ValueError: If the markers are missing.
    """
    df = tabulate(results)
    accuracy = accuracy_table(df)
    columns: dict[str, Any] = {"test accuracy (%)": accuracy["test accuracy"]}
    if _has(df, "data"):
        table = density_table(df, baseline)
        if "ratio" in table:
            columns[f"boundary density / {baseline}'s"] = table.apply(
                lambda row: "" if pd.isna(row["ratio"]) else ratio_text(row), axis=1
            )
    if attacked := measured(results, "robustness"):
        columns[_PGD] = _pgd_column(attacked, count_variants(results))
    if is_on_its_data(results):
        columns["source: 50 epochs, 5 seeds (%)"] = source_accuracy()
    if _has(df, "random"):
        columns |= {
            f"isotropic TV, zoom {zoom:g}": _interval_column(tv_table(df), zoom)
            for zoom in sorted(df["zoom"].dropna().unique(), reverse=True)
        }
    rows = pd.DataFrame(columns).reindex(accuracy.index).fillna("")
    return replace_part(text, part, f"{what_was_run(results)}\n\n{markdown_table(rows)}")


def _pgd_column(attacked: list[dict[str, Any]], networks: Counter[str]) -> dict[str, str]:
    """Writes what PGD left, and of how many networks where others were not attacked."""
    table, numbers = means_table(attacked, ROBUSTNESS), count_variants(attacked)
    column = {}
    for variant in map(str, table.index):
        mean, half_width = table.loc[variant, _PGD]
        text = "" if pd.isna(mean) else interval_text(mean, half_width, 1)
        is_part = 1 < numbers[variant] < networks[variant]
        column[variant] = f"{text} ({numbers[variant]} seeds)" if is_part else text
    return column


def _interval_column(table: pd.DataFrame, zoom: float) -> pd.Series:
    return (
        table[zoom]
        .dropna(subset="mean")
        .apply(lambda row: interval_text(row["mean"], row["conf_interval"], 0), axis=1)
    )


def _check_baseline(baseline: str, results: list[dict[str, Any]]) -> None:
    variants = sorted({run["variant"] for run in results})
    if baseline != BASELINE and baseline not in variants:
        raise ValueError(f"baseline is {baseline!r}; give one of {', '.join(variants)}")


def _has(df: pd.DataFrame, kind: str) -> bool:
    return kind in set(df["kind"])


def _figures(df: pd.DataFrame, results: list[dict[str, Any]], baseline: str) -> dict[str, Figure]:
    figures = {"Accuracy": accuracy_figure(df)}
    if _has(df, "data") and df["boundary_density"][df["kind"] == "data"].any():
        figures["Excess smoothness at equal accuracy"] = excess_smoothness_figure(results, baseline)
    if attacked := measured(results, "robustness"):
        figures["Robustness"] = robustness_figure(attacked)
    figures["Learning curves"] = learning_curve_figure(results)
    if _has(df, "data"):
        figures["Class maps on planes between test images"] = data_plane_figure(results)
    if _has(df, "random"):
        figures["Class maps on the same plane"] = class_map_figure(results)
        figures["Boundary density by zoom"] = tv_figure(df, "boundary_density")
        figures["Isotropic total variation by zoom"] = tv_figure(df, "tv_isotropic")
    if any("spectra" in run["measurements"] for run in results):
        figures["Singular values"] = spectrum_figure(results)
    return figures


_CAPTIONS = {
    "Accuracy": "Test accuracy: mean and 95 % interval over networks, and a dot for each network.",
    "Excess smoothness at equal accuracy": (
        "Boundary density against accuracy. A network below the grey line, the baseline's own "
        "training (drawn where evaluation.every_n_epochs measured it), is smoother than one of the "
        "baseline that is as accurate."
    ),
    "Robustness": (
        "Accuracy under noise and under PGD, and the share of images whose class no change of so "
        "many pixels was found to change: mean and 95 % interval over networks. A line that lies "
        "higher is more robust."
    ),
    "Learning curves": "Accuracy in the course of training: mean and range of seeds.",
    "Class maps on planes between test images": (
        "Predicted classes on the same planes through three test images, a colour for each class: "
        "the fewer and the straighter the borders, the smoother the network."
    ),
    "Class maps on the same plane": (
        "Predicted classes on the source's planes: random directions through one test image. At "
        "zoom 0.001 nearly no point is an image."
    ),
    "Boundary density by zoom": (
        "Boundary density on random planes: mean and 95 % interval over networks."
    ),
    "Isotropic total variation by zoom": (
        "What the source measured. It depends on how classes are numbered."
    ),
    "Singular values": (
        "Singular values of every layer, a line each: svb draws them into its band."
    ),
}
"""What to see in each figure."""


def _file_name(name: str) -> str:
    """Shortens a title to a file's name: what is in brackets stays out of it."""
    title = name.split(" (")[0]
    kept = "".join(character if character.isalnum() else " " for character in title.lower())
    return "_".join(kept.split())
