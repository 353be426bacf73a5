"""``results.json``: what one run measured, all that a report reads."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regularizer_collection.runtime.atomic_write import atomic_write
from regularizer_collection.runtime.history import epoch_curves, read_history
from regularizer_collection.runtime.identity import NOT_RECORDED, Identity

NAME = "results.json"
SCHEMA_VERSION = 2
_KEYS = {
    *("variant", "seed", "fingerprint", "protocol", "identity"),
    *("facts", "test", "measurements", "history"),
}


def write_results(
    path: Path,
    identity: Identity,
    facts: dict[str, Any],
    test: dict[str, float],
    measurements: dict[str, Any],
) -> Path:
    """Writes what a run is, what happened in it and what was measured, whole or not at all.

    Args:
        path: Path of the file; the history beside it is taken in.
        identity: What the run is.
        facts: What happened in its training, see :class:`RunRecord`.
        test: Test metrics, such as ``accuracy``.
        measurements: Record of each measurement, by its section.

    Returns:
        The path of the file.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    history = epoch_curves(read_history(path.parent))
    if not history and (before := read_results(path)):  # a run that is older than such files
        history = before["history"]
    results = {
        "schema_version": SCHEMA_VERSION,
        "variant": identity.variant,
        "seed": identity.seed,
        "fingerprint": identity.fingerprint,
        "protocol": identity.protocol,
        "identity": identity.to_dict(),
        "facts": facts,
        "test": test,
        "measurements": measurements,
        "history": history,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        json.dump(results, file, indent=1)
    return path


def read_results(path: Path) -> dict[str, Any] | None:
    """Returns the results in a file; None where there is no file or it is not whole.

    Results of schema version 1 are read as if they were of version 2; what they do not tell is
    "not recorded".
    """
    try:
        results = json.loads(path.read_text())
        version = results["schema_version"]
        if version == 1:
            results = _migrated(results)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if version in (1, SCHEMA_VERSION) and not results.keys() >= _KEYS:
        return None
    if "singular_value_quantiles" in results:  # which stood at the top before they were a section
        quantiles = results.pop("singular_value_quantiles")
        results["measurements"]["spectra"] = {"quantiles": quantiles}
    return results


def num_missing(measurements: Mapping[str, Any]) -> float:
    """Counts planes and images that a Ctrl-C kept from being measured; infinite if a whole kind.

    Args:
        measurements: Those of some results.
    """
    planes = measurements.get("planes", {})
    if "random" not in planes or "cut_off" in measurements:  # of planes, random ones come last
        return math.inf
    missing: int = measurements.get("robustness", {}).get("missing_images", 0)
    return missing + sum(kind["missing_planes"] for kind in planes.values())


def _migrated(old: dict[str, Any]) -> dict[str, Any]:
    unknown = ("steps", "stopped_by", "world_size", "global_batch", "precision", "device")
    facts = dict.fromkeys((*unknown, "optimizer", "weights_sha256", "commit"), NOT_RECORDED)
    return {
        "schema_version": SCHEMA_VERSION,
        "variant": old["variant"],
        "seed": old["seed"],
        "fingerprint": old["config_hash"],
        "protocol": "source",  # the only one of its time
        "identity": {"commit": NOT_RECORDED},
        "facts": facts
        | {
            "epochs": old["epochs"],
            "max_epochs": old["epochs"],
            "data": {"name": old["data"], "num_classes": old["num_classes"]},
            "train_seconds": NOT_RECORDED,  # the old clock counted tests too
            "host": old["host"],
            "versions": old.get("versions", NOT_RECORDED),
        },
        "test": {"accuracy": old["test_accuracy"], "loss": old["test_loss"]},
        "measurements": {"planes": {"random": _migrated_planes(old)}},
        "singular_value_quantiles": old["singular_value_quantiles"],
        "history": old["learning_curve"],
    }


def _migrated_planes(old: dict[str, Any]) -> dict[str, Any]:
    planes = {"missing_planes": 0} | old["evaluation"] | {"class_maps": old["class_maps"]}
    for name, measures in planes["zoom_levels"].items():
        half_width = 1 / float(name.removeprefix("zoom_"))
        pairs = 2 * planes["resolution"] * (planes["resolution"] - 1)
        step = 2 * half_width / (planes["resolution"] - 1)
        measures["boundary_density"] = [
            math.pi / 2 * length / pairs / step for length in measures["boundary_length"]
        ]
        measures["boundary_distance"] = [  # a distance that was not reached stood there as reached
            value if value < half_width else None for value in measures["boundary_distance"]
        ]
    return planes
