"""Tables and figures over all runs, as Markdown, CSV and one HTML page."""

import base64
import io
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from regularizer_collection.callbacks.evaluation import MEASURES
from regularizer_collection.experiments.collect import load_results, tabulate
from regularizer_collection.experiments.figures import (
    accuracy_figure,
    class_map_figure,
    learning_curve_figure,
    spectrum_figure,
    tv_figure,
)
from regularizer_collection.experiments.marked_part import replace_part
from regularizer_collection.experiments.source_experiment import DIFFERENCES, source_accuracy
from regularizer_collection.experiments.tables import (
    accuracy_table,
    difference_table,
    interval_text,
    tv_table,
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid #ccc; padding: .25em .7em; text-align: right; }
img { max-width: 100%; }
"""


def write_report(
    root: str, out: str = "report", allow_mixed: bool = False, readme: str | None = None
) -> None:
    """Writes ``report.md``, ``index.html``, one CSV for each table and one PNG for each figure.

    Args:
        root: Folder of runs, searched for ``results.json``.
        out: Folder of the report.
        allow_mixed: Whether runs may differ in epochs, data, planes or config.
        readme: File whose part between the report's markers becomes the summary; None writes none.

    Raises:
        FileNotFoundError: If there are no results.
        ValueError: If the results do not belong together, or the readme has no markers.
    """
    results = load_results(root, allow_mixed)
    df = tabulate(results)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    tables, figures = _tables(df), _figures(df, results)
    for name, table in tables.items():
        table.to_csv(folder / f"{_file_name(name)}.csv")
    for name, figure in figures.items():
        figure.savefig(folder / f"{_file_name(name)}.png", dpi=110)
    notes = _notes(results)
    (folder / "report.md").write_text(_markdown(tables, notes))
    (folder / "index.html").write_text(_html(tables, figures, notes))
    if readme is not None:
        path = Path(readme)
        path.write_text(with_summary(path.read_text(), results))
    print(f"Report over {len(results)} runs: {folder / 'index.html'}")


def with_summary(text: str, results: list[dict[str, Any]]) -> str:
    """Replaces what stands between the report's markers by the accuracy and total variation tables.

    Raises:
        ValueError: If the markers are missing.
    """
    df = tabulate(results)
    rows = pd.DataFrame(
        {
            "test accuracy (%)": accuracy_table(df)["test accuracy"],
            "source: 50 epochs, 5 seeds": source_accuracy(),
            **{
                f"isotropic TV, zoom {zoom:g}": _interval_column(tv_table(df), zoom)
                for zoom in sorted(df["zoom"].unique(), reverse=True)
            },
        }
    ).reindex(accuracy_table(df).index)
    return replace_part(text, "report", f"{_what_was_run(results)}\n\n{rows.to_markdown()}")


def _interval_column(table: pd.DataFrame, zoom: float) -> pd.Series:
    return table[zoom].apply(
        lambda row: interval_text(row["mean"], row["conf_interval"], 0, "1 plane"), axis=1
    )


def _what_was_run(results: list[dict[str, Any]]) -> str:
    variants_of_seeds: dict[str, list[str]] = {}
    for variant in accuracy_table(tabulate(results)).index:
        seeds = sorted(run["seed"] for run in results if run["variant"] == variant)
        variants_of_seeds.setdefault(", ".join(map(str, seeds)), []).append(variant)
    seeds_text = "; ".join(
        f"{', '.join(variants)}: seed{'s' if ',' in seeds else ''} {seeds}"
        for seeds, variants in variants_of_seeds.items()
    )
    epochs = " and ".join(str(n) for n in sorted({run["facts"]["epochs"] for run in results}))
    planes = " or ".join(
        str(n)
        for n in sorted(
            {len(run["measurements"]["planes"]["random"]["image_indices"]) for run in results}
        )
    )
    hosts = " and ".join(sorted({run["facts"]["host"] for run in results}))
    return f"{epochs} epochs, {planes} planes, on {hosts} ({seeds_text})."


def _notes(results: list[dict[str, Any]]) -> list[str]:
    notes = [_what_was_run(results)]
    if any(sum(r["variant"] == run["variant"] for r in results) == 1 for run in results):
        notes.append(
            "A variant with a single seed has a mean and no interval: nothing is known of how far "
            "another seed would lie from it."
        )
    notes.append(
        "Intervals of accuracies are over seeds; those of planes are over planes, each the mean "
        "over seeds, and speak for these trained networks only."
    )
    return [*notes, *DIFFERENCES]


def _tables(df: pd.DataFrame) -> dict[str, pd.DataFrame]:
    accuracy = accuracy_table(df).join(source_accuracy())
    tables = {"Test accuracy (%)": accuracy}
    has_baseline = "no_reg" in set(df["variant"]) and df["variant"].nunique() > 1
    if has_baseline:
        name = "Test accuracy, difference from no_reg (pairs of seeds)"
        tables[name] = difference_table(df, "test_accuracy", "seed")
    for measure in MEASURES:
        title = measure.replace("tv_", "").replace("_", " ").capitalize()
        title += " total variation" if measure.startswith("tv_") else ""
        tables[title] = tv_table(df, measure)
        if has_baseline:
            name = f"{title}, difference from no_reg"
            tables[f"{name} (pairs of planes)"] = difference_table(df, measure, "plane")
            if df["seed"].nunique() > 1:
                tables[f"{name} (pairs of seeds)"] = difference_table(df, measure, "seed")
    return tables


def _figures(df: pd.DataFrame, results: list[dict[str, Any]]) -> dict[str, Figure]:
    return {
        "Accuracy": accuracy_figure(df),
        "Isotropic total variation by zoom": tv_figure(df, "tv_isotropic"),
        "Boundary length by zoom": tv_figure(df, "boundary_length"),
        "Learning curves": learning_curve_figure(results),
        "Class maps on the same plane": class_map_figure(results),
        "Singular values": spectrum_figure(results),
    }


def _markdown(tables: dict[str, pd.DataFrame], notes: list[str]) -> str:
    parts = ["# Regularizers compared", *(f"- {note}" for note in notes)]
    for name, table in tables.items():
        parts += [f"\n## {name}\n", _flat(table).to_markdown(floatfmt=".4g")]
    return "\n".join(parts) + "\n"


def _html(tables: dict[str, pd.DataFrame], figures: dict[str, Figure], notes: list[str]) -> str:
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Regularizers compared</title>",
        f"<style>{_STYLE}</style><h1>Regularizers compared</h1><ul>",
        *(f"<li>{note}</li>" for note in notes),
        "</ul>",
    ]
    for name, figure in figures.items():
        picture = io.BytesIO()
        figure.savefig(picture, dpi=110)
        data = base64.b64encode(picture.getvalue()).decode()
        parts.append(f"<h2>{name}</h2><img alt='{name}' src='data:image/png;base64,{data}'>")
    for name, table in tables.items():
        html = table.to_html(border=0, na_rep="not known", float_format=lambda x: f"{x:.4g}")
        parts.append(f"<h2>{name}</h2>{html}")
    return "\n".join(parts) + "\n"


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Writes headers of two levels as one, and what is missing as words."""
    flat = table.astype(object).where(table.notna(), "not known")
    if table.index.nlevels > 1:
        flat.index = pd.Index([f"{variant}, zoom {zoom:g}" for variant, zoom in table.index])
    if table.columns.nlevels > 1:
        flat.columns = [f"zoom {zoom:g} {name}" for zoom, name in table.columns]
    return flat


def _file_name(name: str) -> str:
    kept = "".join(character if character.isalnum() else " " for character in name.lower())
    return "_".join(kept.split())
