"""``results.json``: what one run measured, all that a report reads."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from regularizer_collection.runtime.atomic_write import atomic_write
from regularizer_collection.runtime.history import epoch_curves, read_history
from regularizer_collection.runtime.identity import NOT_RECORDED, Identity

NAME = "results.json"
SCHEMA_VERSION = 2
_QUANTILES = np.linspace(0, 1, 33)


def write_results(
    path: Path,
    identity: Identity,
    facts: dict[str, Any],
    test: dict[str, float],
    measurements: dict[str, Any],
    class_maps: dict[str, list[Tensor]],
    spectra: dict[str, Tensor],
) -> Path:
    """Writes what a run is, what happened in it and what was measured, whole or not at all.

    Args:
        path: Path of the file; the history beside it is taken in.
        identity: What the run is.
        facts: What happened in its training, see :class:`RunRecord`.
        test: Test metrics, such as ``accuracy``.
        measurements: Results of each measurement, by its name.
        class_maps: Class maps [resolution, resolution] of all planes for each zoom level, of which
            the first is kept.
        spectra: Singular values of each layer, of which 33 quantiles are kept.

    Returns:
        The path of the file.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
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
        "class_maps": {zoom: encode_map(maps[0]) for zoom, maps in class_maps.items()},
        "history": epoch_curves(read_history(path.parent)),
        "singular_value_quantiles": {
            layer: [float(f"{q:.4g}") for q in np.quantile(sigma.numpy(), _QUANTILES)]
            for layer, sigma in spectra.items()
        },
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
    except (OSError, ValueError):
        return None
    if not isinstance(results, dict) or "schema_version" not in results:
        return None
    return _migrated(results) if results["schema_version"] == 1 else results


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
        "measurements": {"planes": {"random": {"missing_planes": 0} | old["evaluation"]}},
        "class_maps": old["class_maps"],
        "history": old["learning_curve"],
        "singular_value_quantiles": old["singular_value_quantiles"],
    }


def encode_map(labels: Tensor) -> dict[str, Any]:
    """Packs a class map [height, width] as base64 of zlib of its int16 values, row by row."""
    packed = zlib.compress(labels.numpy().astype("<i2").tobytes(), 9)
    return {"shape": list(labels.shape), "int16_zlib_base64": base64.b64encode(packed).decode()}


def decode_map(packed: dict[str, Any]) -> np.ndarray:
    """Unpacks what :func:`encode_map` packed."""
    values = zlib.decompress(base64.b64decode(packed["int16_zlib_base64"]))
    return np.frombuffer(values, "<i2").reshape(packed["shape"])
