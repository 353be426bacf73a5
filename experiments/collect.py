"""All results below a folder."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regularizer_collection.runtime.results_file import NAME, SCHEMA_VERSION, read_results


def load_results(root: str | Path, allow_mixed: bool = False) -> list[dict[str, Any]]:
    """Reads every ``results.json`` below a folder; one that is not whole is named and skipped.

    Args:
        root: Folder of runs.
        allow_mixed: Whether runs may differ in epochs, data, planes or config.

    Returns:
        Results in the order of their paths.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a file has another schema version, or the runs do not belong together.
    """
    loaded: dict[Path, dict[str, Any]] = {}
    for path in sorted(Path(root).rglob(NAME)):
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
    if not allow_mixed:
        _refuse_mixed(loaded)
    return list(loaded.values())


def collect_results(root: str | Path, allow_mixed: bool = False) -> pd.DataFrame:
    """Tabulates what :func:`load_results` reads, one row for each run, zoom level and plane.

    Args:
        root: Folder of runs.
        allow_mixed: Whether runs may differ in epochs, data, planes or config.

    Returns:
        Columns ``variant``, ``seed``, ``epochs``, ``test_accuracy`` (a share), ``zoom``, ``plane``
        (the position of its image in the test split), and one for each measure of the plane.
    """
    return tabulate(load_results(root, allow_mixed))


def tabulate(results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Tabulates loaded results, see :func:`collect_results`."""
    frames = []
    for run in results:
        facts = {key: run[key] for key in ("variant", "seed", "epochs", "test_accuracy")}
        evaluation = run["evaluation"]
        for name, measures in evaluation["zoom_levels"].items():
            zoom = float(name.removeprefix("zoom_"))
            columns = {"zoom": zoom, "plane": evaluation["image_indices"], **measures}
            frames.append(pd.DataFrame(facts | columns))
    return pd.concat(frames, ignore_index=True)


def _refuse_mixed(loaded: dict[Path, dict[str, Any]]) -> None:
    first = next(iter(loaded))
    first_of_variant: dict[str, Path] = {}
    for path, results in loaded.items():
        twin = first_of_variant.setdefault(results["variant"], path)
        others = dict.fromkeys(("epochs", "num_classes", "data", "planes"), first)
        for key, other in (others | {"config_hash": twin}).items():
            got, expected = _facts(results)[key], _facts(loaded[other])[key]
            if got != expected:
                raise ValueError(
                    f"{path} has {key} {_short(got)}, {other} has {_short(expected)}; "
                    "report them apart or give --allow_mixed true"
                )


def _facts(results: dict[str, Any]) -> dict[str, Any]:
    evaluation = results["evaluation"]
    planes = {key: evaluation[key] for key in ("seed", "resolution", "image_indices")}
    return results | {"planes": planes | {"zoom_levels": [*evaluation["zoom_levels"]]}}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
