import json
import math
from pathlib import Path

import pytest

from regularizer_collection.runtime.identity import Identity
from regularizer_collection.runtime.results_file import read_results, write_results
from tests.conftest import fill

SCHEMA_1 = Path(__file__).parent / "data" / "schema_1_results.json"


def write(folder, **overrides):
    return write_results(
        **{
            "path": folder / "results.json",
            "identity": Identity("svb", 3, {"trainer.max_epochs": 7}),
            "facts": {"epochs": 7},
            "test": {"accuracy": 0.5, "loss": 1.5},
            "measurements": {"planes": {"random": {"seed": 0}}},
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


def test_results_of_the_first_schema_keep_their_history_when_they_are_refreshed(tmp_path):
    (tmp_path / "results.json").write_text(SCHEMA_1.read_text())
    history = read_results(tmp_path / "results.json")["history"]
    assert len(history["test_curve/accuracy"]) == 15
    assert read_results(write(tmp_path))["history"] == history


def test_spectra_that_stood_at_the_top_are_read_as_a_measurement(tmp_path):
    path = write(tmp_path)
    quantiles = {"fc": [0.5, 1.0]}
    written = json.loads(path.read_text()) | {"singular_value_quantiles": quantiles}
    path.write_text(json.dumps(written))
    assert read_results(path)["measurements"]["spectra"] == {"quantiles": quantiles}
    assert "conv1" in read_results(SCHEMA_1)["measurements"]["spectra"]["quantiles"]


@pytest.mark.parametrize(
    "content",
    ["[1]", "3", '{"variant": "svb"}', '{"schema_version": 1}', '{"schema_version": 2, "seed": 0}'],
)
def test_json_that_is_no_results_is_not_whole(content, tmp_path):
    (tmp_path / "results.json").write_text(content)
    assert read_results(tmp_path / "results.json") is None


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


def test_the_first_schema_is_read_with_densities_and_without_distances_that_were_not_reached():
    planes = read_results(SCHEMA_1)["measurements"]["planes"]
    measures = planes["random"]["zoom_levels"]["zoom_0.025"]
    old = json.loads(SCHEMA_1.read_text())["evaluation"]
    raw = old["zoom_levels"]["zoom_0.025"]
    step = 2 * 40 / 249
    for length, density in zip(raw["boundary_length"], measures["boundary_density"], strict=True):
        assert density == pytest.approx(math.pi / 4 * length * step / (250 * step * 249 * step))
    assert [d is None for d in measures["boundary_distance"]] == [
        d == 40 for d in raw["boundary_distance"]
    ]
