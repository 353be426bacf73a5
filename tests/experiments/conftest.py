import json
from functools import partial

import numpy as np
import pytest
import torch

from regularizer_collection.functional.packed_maps import encode_map
from regularizer_collection.runtime.results_file import SCHEMA_VERSION

ZOOMS = ("zoom_0.025", "zoom_0.01")
MEASURES = ("tv_isotropic", "tv_anisotropic", "boundary_length", "boundary_density")
NUM_TRIPLETS = 4


def made_up(variant, seed, num_planes=6, **overrides):
    """Results that no network gave, different in every run."""
    rng = np.random.default_rng([seed, *variant.encode()])
    results = {
        "schema_version": SCHEMA_VERSION,
        "variant": variant,
        "seed": seed,
        "fingerprint": f"fingerprint of {variant}",
        "protocol": "source",
        "identity": {"commit": "abc"},
        "facts": {
            "epochs": 50,
            "data": {"name": "CIFAR100DataModule", "num_classes": 100},
            "host": "nowhere",
            "versions": {"torch": "2.14.1"},
            "device": "cpu",
        },
        "test": {"accuracy": rng.uniform(0.4, 0.5), "loss": 2.0},
        "measurements": {
            "planes": {
                "random": {
                    "seed": 0,
                    "resolution": 5,
                    "missing_planes": 0,
                    "image_indices": list(range(10, 10 + num_planes)),
                    "zoom_levels": {
                        zoom: {name: rng.uniform(1, 9, num_planes).tolist() for name in MEASURES}
                        | {"boundary_distance": [None, *rng.uniform(1, 9, num_planes - 1)]}
                        for zoom in ZOOMS
                    },
                    "bounds_95": {
                        zoom: {"wrong_share": 1e-4, "missed_length": 25.0} for zoom in ZOOMS
                    },
                    "class_maps": {zoom: encode_map(torch.arange(25).view(5, 5)) for zoom in ZOOMS},
                },
                "data": {
                    "seed": 0,
                    "resolution": 6,
                    "missing_planes": 0,
                    "image_indices": [[n, n + 1, n + 2] for n in range(NUM_TRIPLETS)],
                    "values": {
                        "boundary_density": rng.uniform(1, 2, NUM_TRIPLETS).tolist(),
                        "num_fragments": rng.integers(1, 9, NUM_TRIPLETS).tolist(),
                    },
                    "bounds_95": {"wrong_share": 1e-5, "missed_length": 0.4},
                    "class_maps": encode_map(
                        torch.tensor(rng.integers(0, 3, (NUM_TRIPLETS, 6, 6)))
                    ),
                },
                "segments": {
                    "seed": 0,
                    "resolution": 6,
                    "missing_planes": 0,
                    "image_indices": [[0, 1], [2, 3]],
                    "values": {"class_changes": [1, 2], "length": [3.0, 4.0]},
                },
            },
            "robustness": robustness(rng),
            "spectra": {"quantiles": {"conv1": [0.5, 1.0, 1.5], "fc": [0.9, 1.0, 1.1]}},
            "calibration": {
                "nll": rng.uniform(1, 2),
                "brier": rng.uniform(0, 1),
                "calibration_error": rng.uniform(0, 0.2),
                "calibration_error_if_calibrated": 0.01,
                "foreign_images": {"noise": {"logsumexp": {"auroc": rng.uniform(), "fpr95": 0.5}}},
            },
        },
        "history": {"test_curve/accuracy": [[10, 0.1 * seed], [20, 0.2 * seed]]},
    }
    facts = {key: overrides.pop(key) for key in ("epochs", "data") if key in overrides}
    return results | overrides | {"facts": results["facts"] | facts}


def robustness(rng):
    shares = np.sort(rng.uniform(0, 0.5, 41))[::-1].tolist()
    distances = [0.0, None, *rng.uniform(0.1, 1, 4)]
    return {
        "num_images": 6,
        "image_indices": list(range(6)),
        "accuracy": {
            "clean": shares[0],
            "noise": {"0.1": rng.uniform(0, 0.5)},
            "fgsm": {"1_255": rng.uniform(0, 0.5)},
            "pgd": {"1_255": rng.uniform(0, 0.5)},
            "pgd_by_steps": shares,
            "corruptions": rng.uniform(0, 0.5),
        },
        "median_distance_if_right": rng.uniform(0.1, 1),
        "flatness": rng.uniform(0.2, 1),
        "signs_of_gradient_masking": [],
        "values": {"distance": distances},
    }


@pytest.fixture
def leave(tmp_path):
    """Writes a run's results below ``tmp_path`` and returns the path of the file."""
    return partial(leave_results, tmp_path)


def leave_results(root, variant, seed, **overrides):
    path = root / variant / f"seed_{seed}" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(made_up(variant, seed, **overrides)))
    return path
