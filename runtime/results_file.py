"""``results.json``: what one run measured, all that a report reads."""

import base64
import hashlib
import json
import os
import platform
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import Tensor

from regularizer_collection.runtime.atomic_write import atomic_write
from regularizer_collection.runtime.learning_curve import learning_curve, wall_time

NAME = "results.json"
SCHEMA_VERSION = 1

# Keys that change where and how fast a run goes, not what it computes.
_IRRELEVANT = {
    *("seed_everything", "seed", "variant", "ckpt_path", "default_root_dir", "data_dir"),
    *("verify", "download", "enable_progress_bar", "logger", "callbacks", "evaluation"),
    *("log_every_n_steps", "config"),
}
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy", "scipy")
_QUANTILES = np.linspace(0, 1, 33)


def write_results(
    folder: Path,
    metrics: dict[str, float],
    evaluation: dict[str, Any],
    class_maps: dict[str, list[Tensor]],
    spectra: dict[str, Tensor],
) -> Path:
    """Writes ``results.json`` into a run's folder, whole or not at all.

    Config, learning curves and wall time are read from what the run left in its folder.

    Args:
        folder: Folder of the run, which holds ``config.yaml`` and TensorBoard events.
        metrics: Test metrics by their logged names.
        evaluation: ``Evaluation.results``.
        class_maps: Class maps [resolution, resolution] of all planes for each zoom level, of which
            the first is kept.
        spectra: Singular values of each layer, of which 33 quantiles are kept.

    Returns:
        The path of the file.

    Raises:
        OSError: If the file cannot be written; what was there stays.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    results = {
        "schema_version": SCHEMA_VERSION,
        "variant": config["variant"],
        "seed": config["seed_everything"],
        "config_hash": config_hash(config),
        "epochs": config["trainer"]["max_epochs"],
        "num_classes": config["model"]["init_args"]["num_classes"],
        "data": config["data"]["class_path"].rpartition(".")[2],
        "test_accuracy": metrics["test/accuracy"],
        "test_loss": metrics["test/loss"],
        "evaluation": evaluation,
        "class_maps": {zoom: encode_map(maps[0]) for zoom, maps in class_maps.items()},
        "learning_curve": learning_curve(folder),
        "singular_value_quantiles": {
            layer: [float(f"{q:.4g}") for q in np.quantile(sigma.numpy(), _QUANTILES)]
            for layer, sigma in spectra.items()
        },
        "wall_time_seconds": round(wall_time(folder), 1),
        "host": f"{platform.node()}, {platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in _PACKAGES},
    }
    path = folder / NAME
    with atomic_write(path) as file:
        json.dump(results, file, indent=1)
    return path


def read_results(path: Path) -> dict[str, Any] | None:
    """Returns the results in a file; None where there is no file or it is not whole."""
    try:
        results = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return results if isinstance(results, dict) and "schema_version" in results else None


def config_hash(config: dict[str, Any]) -> str:
    """Returns a hash of what a run computes, whatever its seed, folder and machine."""
    canonical = json.dumps(_relevant(config), sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _relevant(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _relevant(item) for key, item in value.items() if key not in _IRRELEVANT}
    return [_relevant(item) for item in value] if isinstance(value, list) else value


def encode_map(labels: Tensor) -> dict[str, Any]:
    """Packs a class map [height, width] as base64 of zlib of its int16 values, row by row."""
    packed = zlib.compress(labels.numpy().astype("<i2").tobytes(), 9)
    return {"shape": list(labels.shape), "int16_zlib_base64": base64.b64encode(packed).decode()}


def decode_map(packed: dict[str, Any]) -> np.ndarray:
    """Unpacks what :func:`encode_map` packed."""
    values = zlib.decompress(base64.b64decode(packed["int16_zlib_base64"]))
    return np.frombuffer(values, "<i2").reshape(packed["shape"])
