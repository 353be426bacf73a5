import json

import numpy as np
import pytest
import torch

from regularizer_collection.runtime.results_file import SCHEMA_VERSION, encode_map

ZOOMS = ("zoom_0.025", "zoom_0.01")
MEASURES = ("tv_isotropic", "tv_anisotropic", "boundary_length", "boundary_distance")


def made_up(variant, seed, num_planes=6, **overrides):
    """Results that no network gave, different in every run."""
    rng = np.random.default_rng([seed, *variant.encode()])
    return {
        "schema_version": SCHEMA_VERSION,
        "variant": variant,
        "seed": seed,
        "config_hash": f"hash of {variant}",
        "epochs": 50,
        "num_classes": 100,
        "data": "CIFAR100DataModule",
        "test_accuracy": rng.uniform(0.4, 0.5),
        "test_loss": 2.0,
        "evaluation": {
            "seed": 0,
            "resolution": 5,
            "image_indices": list(range(10, 10 + num_planes)),
            "zoom_levels": {
                zoom: {name: rng.uniform(1, 9, num_planes).tolist() for name in MEASURES}
                for zoom in ZOOMS
            },
        },
        "class_maps": {zoom: encode_map(torch.arange(25).view(5, 5)) for zoom in ZOOMS},
        "learning_curve": {"test_curve/accuracy": [[10, 0.1 * seed], [20, 0.2 * seed]]},
        "singular_value_quantiles": {"conv1": [0.5, 1.0, 1.5], "fc": [0.9, 1.0, 1.1]},
        "wall_time_seconds": 1.0,
        "host": "nowhere",
    } | overrides


@pytest.fixture
def leave(tmp_path):
    """Writes a run's results below ``tmp_path`` and returns the path of the file."""

    def leave(variant, seed, **overrides):
        path = tmp_path / variant / f"seed_{seed}" / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(made_up(variant, seed, **overrides)))
        return path

    return leave
