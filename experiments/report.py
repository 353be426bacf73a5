"""Tables and figures over all runs, as Markdown, CSV and one HTML page."""

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
from regularizer_collection.experiments.marked_part import replace_part, rewrite_part
from regularizer_collection.experiments.page import html_page, markdown_page
from regularizer_collection.experiments.report_notes import reading_notes, what_was_run
from regularizer_collection.experiments.report_tables import DENSITY, report_tables
from regularizer_collection.experiments.robustness_figures import robustness_figure
from regularizer_collection.experiments.robustness_tables import measured
from regularizer_collection.experiments.summary import summary
from regularizer_collection.experiments.tables import BASELINE
from regularizer_collection.runtime.paths import full_path

_PART = "report"


def write_report(
    root: str,
    out: str = "report",
    allow_mixed: bool = False,
    readme: str | None = None,
    part: str = _PART,
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
            for, or the readme has no markers. Nothing is written then.
    """
    results = load_results(root, allow_mixed)
    _check_baseline(baseline, results)
    _check_readme(readme, part)
    df = tabulate(results)
    folder = Path(full_path(out))
    folder.mkdir(parents=True, exist_ok=True)
    tables, figures = report_tables(df, results, baseline), _figures(df, results, baseline)
    said = answer(tables[DENSITY].table, results, baseline) if DENSITY in tables else None
    files = {name: f"{_file_name(name)}.csv" for name in tables}
    pictures = {name: f"{_file_name(name)}.png" for name in figures}
    _clear(folder, [*files.values(), *pictures.values()])
    for name, counted in tables.items():
        counted.flat().to_csv(folder / files[name])
    for name, figure in figures.items():
        figure.savefig(folder / pictures[name], dpi=110)
        figure.set_layout_engine("none")  # laid out; the page draws it as it is
    opening = [*([] if said is None else [said.replace("\n", " ")]), what_was_run(results)]
    notes = reading_notes(df, results, baseline)
    shown = {name: counted.shown() for name, counted in tables.items()}
    (folder / "report.md").write_text(markdown_page(shown, opening, notes))
    (folder / "index.html").write_text(html_page(shown, figures, _CAPTIONS, opening, notes))
    if readme is not None:
        rewrite_part(Path(full_path(readme)), part, summary(results, baseline))
    if said is not None:
        print(said)
    print(f"Report over {len(results)} runs: {folder / 'index.html'}")


def _check_baseline(baseline: str, results: list[dict[str, Any]]) -> None:
    variants = sorted({run["variant"] for run in results})
    if baseline != BASELINE and baseline not in variants:
        raise ValueError(f"baseline is {baseline!r}; give one of {', '.join(variants)}")


def _check_readme(readme: str | None, part: str) -> None:
    """Refuses early what could not be written after all tables are made."""
    if readme is None:
        if part != _PART:
            raise ValueError(f"part is {part!r}, and there is no readme; give --readme FILE")
        return
    replace_part(Path(full_path(readme)).read_text(), part, "")


def _clear(folder: Path, names: list[str]) -> None:
    """Removes tables and figures of an earlier report, and notes the names of those of this one."""
    noted = folder / ".report_files"
    for name in noted.read_text().splitlines() if noted.exists() else ():
        (folder / name).unlink(missing_ok=True)
    noted.write_text("\n".join(names))


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
