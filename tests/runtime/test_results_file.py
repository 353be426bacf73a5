import json

import numpy as np
import pytest
import torch

from regularizer_collection.runtime.identity import Identity
from regularizer_collection.runtime.results_file import (
    decode_map,
    encode_map,
    read_results,
    write_results,
)
from tests.conftest import fill


def write(folder, **overrides):
    return write_results(
        **{
            "path": folder / "results.json",
            "identity": Identity("svb", 3, {"trainer.max_epochs": 7}),
            "facts": {"epochs": 7},
            "test": {"accuracy": 0.5, "loss": 1.5},
            "measurements": {"planes": {"random": {"seed": 0}}},
            "class_maps": {"zoom_0.1": [torch.arange(6).view(2, 3).short()]},
            "spectra": {"fc": torch.linspace(0, 32, 33, dtype=torch.float64)},
        }
        | overrides
    )


def test_holds_what_a_report_needs(tmp_path):
    curve = {"test_curve/accuracy": [[10, 0.25], [20, 0.5]], "train/loss": [[10, 1.0]]}
    (tmp_path / "history.json").write_text(json.dumps(curve))
    results = read_results(write(tmp_path))
    assert (results["variant"], results["seed"], results["protocol"]) == ("svb", 3, "source")
    assert (results["facts"], results["test"]["accuracy"]) == ({"epochs": 7}, 0.5)
    assert results["measurements"]["planes"]["random"] == {"seed": 0}
    assert results["history"] == {"test_curve/accuracy": [[10, 0.25], [20, 0.5]]}
    assert results["singular_value_quantiles"]["fc"] == list(range(33))
    np.testing.assert_array_equal(
        decode_map(results["class_maps"]["zoom_0.1"]), [[0, 1, 2], [3, 4, 5]]
    )


def test_a_failing_write_keeps_the_file_that_was_there(tmp_path):
    before = write(tmp_path).read_text()
    with pytest.raises(TypeError):
        write(tmp_path, facts={"epochs": object()})
    assert (tmp_path / "results.json").read_text() == before


def test_a_full_disk_keeps_the_file_that_was_there(small_disk):
    before = write(small_disk).read_text()
    fill(small_disk)
    with pytest.raises(OSError, match="No space left on device"):
        write(small_disk, facts={"epochs": 8})
    assert {path.name for path in small_disk.iterdir()} == {"results.json", "filler"}
    assert (small_disk / "results.json").read_text() == before


def test_class_maps_survive_packing():
    labels = torch.randint(-1, 300, (17, 17), dtype=torch.int16)
    np.testing.assert_array_equal(decode_map(encode_map(labels)), labels.numpy())
