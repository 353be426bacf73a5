import json

import numpy as np
import pytest
import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from regularizer_collection.runtime.results_file import (
    config_hash,
    decode_map,
    encode_map,
    write_results,
)
from tests.conftest import fill

CONFIG = {
    "variant": "svb",
    "seed_everything": 3,
    "trainer": {"max_epochs": 7, "default_root_dir": "runs"},
    "model": {"class_path": "SVBClassifier", "init_args": {"num_classes": 10, "seed": 3}},
    "data": {"class_path": "datamodules.Shapes100DataModule", "init_args": {"seed": 3}},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def write(folder, **overrides):
    return write_results(
        **{
            "folder": folder,
            "metrics": {"test/accuracy": 0.5, "test/loss": 1.5},
            "evaluation": {"seed": 0},
            "class_maps": {"zoom_0.1": [torch.arange(6).view(2, 3).short()]},
            "spectra": {"fc": torch.linspace(0, 32, 33, dtype=torch.float64)},
        }
        | overrides
    )


def test_holds_what_a_report_needs(folder):
    with SummaryWriter(folder) as writer:
        writer.add_scalar("test_curve/accuracy", 0.25, 10)
        writer.add_scalar("test_curve/accuracy", 0.5, 20)
        writer.add_scalar("wall_time_seconds", 60, 20)
    results = json.loads(write(folder).read_text())
    assert (results["variant"], results["seed"], results["epochs"]) == ("svb", 3, 7)
    assert (results["num_classes"], results["data"]) == (10, "Shapes100DataModule")
    assert (results["test_accuracy"], results["evaluation"]) == (0.5, {"seed": 0})
    assert results["learning_curve"] == {"test_curve/accuracy": [[10, 0.25], [20, 0.5]]}
    assert results["wall_time_seconds"] == 60
    assert results["singular_value_quantiles"]["fc"] == list(range(33))
    assert results["versions"]["torch"] == torch.__version__.partition("+")[0]
    np.testing.assert_array_equal(
        decode_map(results["class_maps"]["zoom_0.1"]), [[0, 1, 2], [3, 4, 5]]
    )


def test_a_failing_write_keeps_the_file_that_was_there(folder):
    before = write(folder).read_text()
    with pytest.raises(TypeError):
        write(folder, evaluation={"seed": object()})
    assert (folder / "results.json").read_text() == before


def test_a_full_disk_keeps_the_file_that_was_there(small_disk):
    (small_disk / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    before = write(small_disk).read_text()
    fill(small_disk)
    with pytest.raises(OSError, match="No space left on device"):
        write(small_disk, evaluation={"seed": 1})
    assert {path.name for path in small_disk.iterdir()} == {"config.yaml", "results.json", "filler"}
    assert (small_disk / "results.json").read_text() == before


def test_the_hash_is_that_of_what_is_computed():
    def changed(section, key, value):
        return CONFIG | {section: CONFIG[section] | {key: value}}

    same = [CONFIG | {"seed_everything": 9}, changed("trainer", "default_root_dir", "elsewhere")]
    other = [changed("trainer", "max_epochs", 8), changed("model", "class_path", "L2Classifier")]
    assert {config_hash(config) for config in same} == {config_hash(CONFIG)}
    assert config_hash(CONFIG) not in {config_hash(config) for config in other}


def test_class_maps_survive_packing():
    labels = torch.randint(-1, 300, (17, 17), dtype=torch.int16)
    np.testing.assert_array_equal(decode_map(encode_map(labels)), labels.numpy())
