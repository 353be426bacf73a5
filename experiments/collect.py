"""All results below a folder."""

import json
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regularizer_collection.runtime.identity import NOT_RECORDED, Identity
from regularizer_collection.runtime.paths import full_path
from regularizer_collection.runtime.results_file import NAME, SCHEMA_VERSION, read_results


def load_results(root: str | Path, allow_mixed: bool = False) -> list[dict[str, Any]]:
    """Reads every ``results.json`` below a folder; one that is not whole is named and skipped.

    Args:
        root: Folder of runs; links to folders are followed.
        allow_mixed: Whether runs may differ in epochs, data, planes or settings.

    Returns:
        Results in the order of their paths.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a file has another schema version, two are of the same run, or the runs do
            not belong together.
    """
    loaded: dict[Path, dict[str, Any]] = {}
    for path in sorted(_files(Path(full_path(root)))):
        results = read_results(path)
        if results is None:
            warnings.warn(f"{path} is not a whole results file, skipped", stacklevel=2)
        elif results["schema_version"] != SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {results['schema_version']}, this code reads "
                f"{SCHEMA_VERSION}; move it away or test the run again"
            )
        else:
            loaded[path] = results
    if not loaded:
        raise FileNotFoundError(
            f"no {NAME} below {root}; give the folder of finished runs, or make some with "
            "cli.py fit or cli.py study"
        )
    _refuse_repeated(loaded)
    if not allow_mixed:
        _refuse_mixed(loaded)
    return list(loaded.values())


def _files(root: Path) -> Iterator[Path]:
    """Yields the results files below a folder; ``rglob`` follows no links before Python 3.13."""
    seen: set[Path] = set()
    for folder, names, files in os.walk(root, followlinks=True, onerror=_say_unreadable):
        real = Path(folder).resolve()
        if real in seen:  # a link to a folder above, or to one that was there already
            names.clear()
            continue
        seen.add(real)
        if NAME in files:
            yield Path(folder) / NAME


def _say_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):  # the root is no folder
        warnings.warn(f"{error.filename} cannot be read ({error.strerror}), skipped", stacklevel=2)


def collect_results(root: str | Path, allow_mixed: bool = False) -> pd.DataFrame:
    """Tabulates what :func:`load_results` reads, one row for each run, plane and zoom level.

    Args:
        root: Folder of runs.
        allow_mixed: Whether runs may differ in epochs, data, planes or config.

    Returns:
        Columns ``variant``, ``seed``, ``protocol``, ``fingerprint`` (of the settings), ``epochs``
        (those trained), ``test_accuracy`` and ``val_accuracy`` (shares, the latter of the last
        epoch, NaN where nothing was held out), ``kind`` (of the plane), ``zoom`` (NaN where
        the kind has none), ``plane`` (of random planes the position of the image in the test split,
        of others a number), and one for each measure of the plane. A boundary distance that was not
        reached is NaN.
    """
    return tabulate(load_results(root, allow_mixed))


def per_network(df: pd.DataFrame) -> pd.DataFrame:
    """Keeps one row of each network, for what is the same on all its planes."""
    return df.drop_duplicates(["variant", "seed", "fingerprint"])


def network_counts(df: pd.DataFrame) -> pd.Series:
    """Counts the networks of each variant."""
    return per_network(df)["variant"].value_counts()


def tabulate(results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Tabulates loaded results, see :func:`collect_results`."""
    frames = []
    for run in results:
        facts = {key: run[key] for key in ("variant", "seed", "protocol", "fingerprint")}
        facts |= {"epochs": run["facts"]["epochs"], "test_accuracy": run["test"]["accuracy"]}
        facts["val_accuracy"] = _final_val_accuracy(run)
        for kind, planes in run["measurements"]["planes"].items():
            facts["kind"] = kind
            for name, measures in planes.get("zoom_levels", {}).items():
                zoom = float(name.removeprefix("zoom_"))
                columns = {"zoom": zoom, "plane": planes["image_indices"], **measures}
                frames.append(pd.DataFrame(facts | columns))
            if "values" in planes:
                numbers = range(len(planes["image_indices"]))
                frames.append(pd.DataFrame(facts | {"plane": numbers} | planes["values"]))
    return pd.concat(frames, ignore_index=True)


def _final_val_accuracy(run: dict[str, Any]) -> float:
    """Returns the accuracy on held-out images of the weights that were tested."""
    last_step, accuracy = (run["history"].get("val/accuracy") or [(-1, math.nan)])[-1]
    steps = run["facts"].get("steps", NOT_RECORDED)
    is_final = steps == NOT_RECORDED or last_step >= steps - 1  # steps are counted from 0
    return float(accuracy) if is_final else math.nan


def _refuse_repeated(loaded: dict[Path, dict[str, Any]]) -> None:
    """Refuses two results of one run, whose settings another version may have spelled otherwise."""
    earlier: dict[tuple[str, int], list[Path]] = {}
    for path, results in loaded.items():
        run = results["variant"], results["seed"]
        for twin in earlier.setdefault(run, []):
            if not _other_settings(results, loaded[twin]):
                raise ValueError(
                    f"{path} and {twin} are the same run, {run[0]} with seed {run[1]}, made twice; "
                    "move one of them away"
                )
        earlier[run].append(path)


def _refuse_mixed(loaded: dict[Path, dict[str, Any]]) -> None:
    """Refuses runs that differ in what both recorded, each beside the first that recorded it."""
    firsts: dict[Any, tuple[Path, Any]] = {}
    first_of_variant: dict[str, Path] = {}
    for path, results in loaded.items():
        differences: dict[Path, list[str]] = {}
        for key, value in _shared_facts(results).items():
            other, expected = firsts.setdefault(key, (path, value))
            if value != expected:
                name = key[0] if isinstance(key, tuple) else key
                text = f"{name} {_short(value)} here and {_short(expected)} there"
                differences.setdefault(other, []).append(text)
        twin = first_of_variant.setdefault(results["variant"], path)
        if settings := _other_settings(results, loaded[twin]):
            differences.setdefault(twin, []).extend(settings)
        if differences:
            other, texts = next(iter(differences.items()))
            raise ValueError(
                f"{path} and {other} do not belong together: {'; '.join(texts)}; report them apart "
                "or give --allow_mixed true"
            )


def _other_settings(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Names the settings of a variant in which two runs differ, with both values."""
    got, expected = ours["fingerprint"], theirs["fingerprint"]
    if got == expected:
        return []
    if "settings" in ours["identity"] and "settings" in theirs["identity"]:
        own, other = (Identity.from_dict(run["identity"]) for run in (ours, theirs))
        return own.differences(other, {"seed"})
    return [f"settings of fingerprint {got} here and {expected} there"]


PLANE_KEYS = ("seed", "resolution", "image_indices")
"""What tells planes from others of their kind."""
_ATTACKED_WITH = ("num_images", "seed", "version", "eps", "num_steps", "distance_steps")


def _shared_facts(results: dict[str, Any]) -> dict[Any, Any]:
    """Returns what all runs of a report must share, as far as this one recorded it.

    The name of a fact is its key, or the first part of it.
    """
    data, measurements = results["facts"]["data"], results["measurements"]
    settings = results["identity"].get("settings", {})
    evaluation = results["identity"].get("evaluation", {})
    facts: dict[Any, Any] = {
        "epochs": results["facts"]["epochs"],
        "data": data["name"],
        "classes": data["num_classes"],
        "protocol": results["protocol"],
        "limit of test batches": evaluation.get("trainer.limit_test_batches"),
    }
    if "test" in data:
        facts["test images"] = data["test"]
    if "data.init_args.val_size" in settings:
        facts["val_size"] = settings["data.init_args.val_size"]
    if "train" in data:  # of which each seed may hold out others
        facts["train images", data.get("val")] = data["train"]
    for kind, planes in measurements["planes"].items():
        facts |= {f"{key} of {kind} planes": planes[key] for key in PLANE_KEYS}
        facts[f"zoom_levels of {kind} planes"] = [*planes.get("zoom_levels", ())]
    if robustness := measurements.get("robustness"):
        told = robustness | robustness.get("settings", {})
        facts |= {f"{key} of robustness": told.get(key) for key in _ATTACKED_WITH}
    if calibration := measurements.get("calibration"):
        facts["num_images of calibration"] = calibration.get("num_images")
        facts |= {key: evaluation[key] for key in evaluation if key.startswith("calibration.")}
    return facts


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
