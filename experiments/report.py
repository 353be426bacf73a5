"""Tables and figures over all runs, as Markdown, CSV and one HTML page."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from regularizer_collection.experiments.answer import answer
from regularizer_collection.experiments.collect import PLANE_KEYS, load_results, tabulate
from regularizer_collection.experiments.excess_smoothness import excess_table, network_points
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
from regularizer_collection.experiments.measure_correlations import correlated, correlation_tables
from regularizer_collection.experiments.page import column_title, html_page, markdown_page
from regularizer_collection.experiments.robustness_figures import robustness_figure
from regularizer_collection.experiments.robustness_tables import (
    CALIBRATION,
    ROBUSTNESS,
    distance_table,
    masking_notes,
    means_table,
    measured,
)
from regularizer_collection.experiments.source_experiment import (
    DIFFERENCES,
    is_on_its_data,
    source_accuracy,
)
from regularizer_collection.experiments.tables import (
    BASELINE,
    accuracy_table,
    agreement_table,
    density_table,
    in_order,
    interval_text,
    mean_table,
    ratio_text,
    tv_table,
)
from regularizer_collection.functional.packed_maps import decode_map
from regularizer_collection.functional.total_variation import expected_anisotropic_tv
from regularizer_collection.runtime.identity import NOT_RECORDED
from regularizer_collection.runtime.paths import full_path

_DENSITY = "Boundary density on planes between test images (1 / input unit)"
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
    tables, figures = _tables(df, results, baseline), _figures(df, results, baseline)
    said = answer(tables[_DENSITY].table, results, baseline) if _DENSITY in tables else None
    for name, counted in tables.items():
        counted.flat().to_csv(folder / f"{_file_name(name)}.csv")
    for name, figure in figures.items():
        figure.savefig(folder / f"{_file_name(name)}.png", dpi=110)
        figure.set_layout_engine("none")  # laid out; the page draws it as it is
    opening = [*([] if said is None else [said.replace("\n", " ")]), _what_was_run(results)]
    notes = _notes(df, results, baseline)
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
        columns[_PGD] = _pgd_column(attacked, _variants(results))
    if is_on_its_data(results):
        columns["source: 50 epochs, 5 seeds (%)"] = source_accuracy()
    if _has(df, "random"):
        columns |= {
            f"isotropic TV, zoom {zoom:g}": _interval_column(tv_table(df), zoom)
            for zoom in sorted(df["zoom"].dropna().unique(), reverse=True)
        }
    rows = pd.DataFrame(columns).reindex(accuracy.index).fillna("")
    return replace_part(text, part, f"{_what_was_run(results)}\n\n{rows.to_markdown()}")


def _pgd_column(attacked: list[dict[str, Any]], networks: Counter[str]) -> dict[str, str]:
    """Writes what PGD left, and of how many networks where others were not attacked."""
    table, numbers = means_table(attacked, ROBUSTNESS), _variants(attacked)
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


def _what_was_run(results: list[dict[str, Any]]) -> str:
    data = " and ".join(sorted({run["facts"]["data"]["name"] for run in results}))
    protocols = " and ".join(sorted({run["protocol"] for run in results}))
    epochs = " and ".join(str(n) for n in sorted({run["facts"]["epochs"] for run in results}))
    kinds = sorted({kind for run in results for kind in run["measurements"]["planes"]})
    planes = ", ".join(f"{_numbers_of_planes(results, kind)} {_KINDS[kind]}" for kind in kinds)
    runs_on: dict[str, list[dict[str, Any]]] = {}
    for run in results:
        runs_on.setdefault(_machine(run["facts"]), []).append(run)
    trained = " and ".join(f"{on} ({_seeds(runs)})" for on, runs in sorted(runs_on.items()))
    name = data.replace("DataModule", "")
    return f"{name}, {protocols} protocol, {epochs} epochs, {planes}, trained on {trained}."


def _machine(facts: dict[str, Any]) -> str:
    gpu = [] if facts["device"] in ("cpu", NOT_RECORDED) else [facts["device"]]
    recorded = facts["versions"] != NOT_RECORDED
    torch = [f"torch {facts['versions']['torch']}"] if recorded else []
    return ", ".join([facts["host"], *gpu, *torch])


def _seeds(runs: list[dict[str, Any]]) -> str:
    """Lists the seeds of each variant, and variants of the same seeds together."""
    variants_of: dict[str, list[str]] = {}
    for variant in in_order(run["variant"] for run in runs):
        seeds = sorted(run["seed"] for run in runs if run["variant"] == variant)
        variants_of.setdefault(", ".join(map(str, seeds)), []).append(variant)
    return "; ".join(
        f"{', '.join(variants)}: seed{'s' if ',' in seeds else ''} {seeds}"
        for seeds, variants in variants_of.items()
    )


_KINDS = {
    "random": "random planes",
    "data": "planes between test images",
    "segments": "segments between test images",
    "adversarial": "planes through the nearest other class",
}


def _numbers_of_planes(results: list[dict[str, Any]], kind: str) -> str:
    sets = [run["measurements"]["planes"].get(kind) for run in results]
    numbers = {len(planes["image_indices"]) for planes in sets if planes is not None}
    return " or ".join(str(number) for number in sorted(numbers))


def _notes(df: pd.DataFrame, results: list[dict[str, Any]], baseline: str) -> list[str]:
    notes = []
    if any(sum(r["variant"] == run["variant"] for r in results) == 1 for run in results):
        notes.append(
            "A variant with a single seed has a mean and no interval: nothing is known of how far "
            "another seed would lie from it, so nothing follows about its regularizer."
        )
    notes.append(
        "Every interval is over networks trained from different seeds (n of each variant stands "
        "beside its name). The one family of tests is boundary density on planes between test "
        f'images against {baseline}, corrected by Holm, its verdicts "equal within 10 %" for '
        "themselves; everything else has an interval and no p-value."
    )
    notes += _best_on_validation(df)
    notes += _bounds(results)
    notes += masking_notes(measured(results, "robustness"))
    notes.append("Total variation depends on how classes are numbered; boundary length does not.")
    return [*notes, *DIFFERENCES] if is_on_its_data(results) else notes


def _best_on_validation(df: pd.DataFrame) -> list[str]:
    """Names the variant that images which nobody trained or tested on speak for."""
    per_run = df.drop_duplicates(["variant", "seed", "fingerprint"])
    means = per_run.groupby("variant")["val_accuracy"].mean()
    if len(means) < 2 or means.isna().any():
        return []
    return [
        f"Chosen by mean accuracy on held-out images, in which the test images had no say: "
        f"{means.idxmax()} ({100 * means.max():.2f} %)."
    ]


def _bounds(results: list[dict[str, Any]]) -> list[str]:
    """Says how much boundary the maps may have missed, where runs have recorded it."""
    worst: dict[str, float] = {}
    for run in results:
        for kind, planes in run["measurements"]["planes"].items():
            bounds = planes.get("bounds_95", {})
            of_zooms = {kind: bounds} if "missed_length" in bounds else bounds
            for name, bound in of_zooms.items():
                worst[name] = max(worst.get(name, 0.0), bound["missed_length"])
    if not worst:
        return []
    text = ", ".join(
        f"{length:.3g} ({name.replace('_', ' ')})" for name, length in sorted(worst.items())
    )
    return [
        "Maps are filled in where a coarse grid saw one class. From the sample of what was filled "
        "in, all maps of a network together, the mean boundary length of a map lacks at most so "
        f"many pixel edges (95 %, the worst network): {text}."
    ]


class _Counted(NamedTuple):
    """A table over variants, and how many networks stand behind each; None if rows are others."""

    table: pd.DataFrame
    networks: Mapping[str, int] | None

    def flat(self) -> pd.DataFrame:
        """Has one name for each column, and a column for the number."""
        flat = self.table.set_axis([column_title(name) for name in self.table.columns], axis=1)
        if self.networks is not None and "networks" not in flat:
            flat.insert(0, "networks", [self.networks.get(row) for row in flat.index])
        return flat

    def shown(self) -> pd.DataFrame:
        """Writes their number beside the name of each row."""
        if self.networks is None:
            return self.table
        return self.table.rename(index=lambda row: f"{row} (n = {self.networks[row]})")


def _tables(df: pd.DataFrame, results: list[dict[str, Any]], baseline: str) -> dict[str, _Counted]:
    accuracy = accuracy_table(df, baseline)
    if is_on_its_data(results):
        accuracy = accuracy.join(source_accuracy())
    tables = {"Test accuracy (%)": _Counted(accuracy, _networks(df))}
    measured_on = {kind: _networks(df[df["kind"] == kind]) for kind in df["kind"].unique()}
    if "data" in measured_on:
        density = density_table(df, baseline)
        tables[_DENSITY] = _Counted(density, density["networks"])
        tables["Fragments on planes between test images (regions of one class)"] = _Counted(
            mean_table(df, "data", "num_fragments"), measured_on["data"]
        )
        same = _same_planes(results)
        agreement = agreement_table(
            (variant, seed, decode_map(planes["class_maps"])) for variant, seed, planes in same
        )
        name = "Agreement of class maps between networks (share of points)"
        tables[name] = _Counted(agreement, Counter(variant for variant, *_ in same))
        excess = excess_table(network_points(results, baseline), baseline)
        if not excess.empty:
            name = f"Boundary density at equal accuracy (ratio to {baseline} on its way)"
            tables[name] = _Counted(excess, excess["networks"])
    if "adversarial" in measured_on:
        for measure, unit in (("boundary_density", "1 / input unit"), ("distance", "input units")):
            name = f"{measure.replace('_', ' ').capitalize()} on adversarial planes ({unit})"
            table = mean_table(df, "adversarial", measure)
            tables[name] = _Counted(table, measured_on["adversarial"])
    if "segments" in measured_on:
        tables["Class changes on segments between test images (changes)"] = _Counted(
            mean_table(df, "segments", "class_changes"), measured_on["segments"]
        )
    tables |= _robustness_tables(results, baseline)
    if "random" in measured_on:
        of_random = {name: tv_table(df, measure) for name, measure in _RANDOM_MEASURES.items()}
        classes = results[0]["facts"]["data"]["num_classes"]
        name = "Anisotropic total variation, mean over class numberings (class indices)"
        of_random[name] = tv_table(df, "boundary_length").map(
            lambda value: expected_anisotropic_tv(value, classes)
        )
        tables |= {
            f"{name}, random planes": _Counted(table, measured_on["random"])
            for name, table in of_random.items()
        }
    return tables


def _networks(df: pd.DataFrame) -> pd.Series:
    """Counts the networks of each variant."""
    return df.drop_duplicates(["variant", "seed", "fingerprint"])["variant"].value_counts()


def _same_planes(results: list[dict[str, Any]]) -> list[tuple[str, int, dict[str, Any]]]:
    """Returns variant, seed and planes between images of the runs with the first's planes."""
    measured_runs = [
        (run["variant"], run["seed"], run["measurements"]["planes"]["data"])
        for run in results
        if "data" in run["measurements"]["planes"]
    ]
    *_, first = measured_runs[0]
    return [
        (variant, seed, planes)
        for variant, seed, planes in measured_runs
        if all(planes[key] == first[key] for key in PLANE_KEYS)
    ]


def _robustness_tables(results: list[dict[str, Any]], baseline: str) -> dict[str, _Counted]:
    tables = {}
    if attacked := measured(results, "robustness"):
        n = attacked[0]["measurements"]["robustness"]["num_images"]
        means = means_table(attacked, ROBUSTNESS)
        tables[f"Robustness ({n} test images)"] = _Counted(means, _variants(attacked))
        distances = distance_table(attacked, baseline)
        if not distances.empty:
            name = f"Distance of right images from another class (ratio to {baseline})"
            tables[name] = _Counted(distances, distances["networks"])
    if calibrated := measured(results, "calibration"):
        means = means_table(calibrated, CALIBRATION)
        tables["Calibration (all test images)"] = _Counted(means, _variants(calibrated))
    for kind, table in correlation_tables(results).items():
        name = f"What boundary measures go along with, {kind}"
        compared = _variants(correlated(results))
        is_of_means = kind == "between variants"
        number = f"{len(compared)} variants" if is_of_means else f"{compared.total()} networks"
        tables[f"{name} (Kendall's tau, n = {number})"] = _Counted(table, None)
    return tables


def _variants(results: list[dict[str, Any]]) -> Counter[str]:
    """Counts the networks of each variant."""
    return Counter(run["variant"] for run in results)


_RANDOM_MEASURES = {
    "Isotropic total variation (class indices)": "tv_isotropic",
    "Anisotropic total variation (class indices)": "tv_anisotropic",
    "Boundary length (pixel edges)": "boundary_length",
    "Boundary density (1 / input unit)": "boundary_density",
    "Boundary distance (input units, restricted mean up to the half-width)": "boundary_distance",
}


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
