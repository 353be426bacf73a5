import os
from collections import deque

import numpy as np
import pytest
import torch

from regularizer_collection.runtime.checkpoint_io import SafeCheckpointIO
from tests.conftest import fill


def checkpoint(value):
    return {"state_dict": {"weight": torch.full((100,), float(value))}}


@pytest.fixture
def io():
    return SafeCheckpointIO()


def value_of(loaded):
    return loaded["state_dict"]["weight"][0].item()


def test_loads_what_it_saved_and_keeps_the_one_before(io, tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    for value in (1, 2, 3):
        io.save_checkpoint(checkpoint(value), path)
    assert value_of(io.load_checkpoint(path)) == 3
    assert value_of(io.load_checkpoint(path.with_name("previous.ckpt"))) == 2
    assert {file.name for file in path.parent.iterdir()} == {"last.ckpt", "previous.ckpt"}


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_a_truncated_checkpoint_gives_way_to_the_previous_one(share, io, tmp_path):
    path = tmp_path / "last.ckpt"
    io.save_checkpoint(checkpoint(1), path)
    io.save_checkpoint(checkpoint(2), path)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.warns(UserWarning, match="last.ckpt is truncated, .*; .*previous.ckpt is used"):
        assert value_of(io.load_checkpoint(path)) == 1


def test_without_a_previous_one_the_error_is_one_line(io, tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"^\S+last.ckpt is truncated, or holds more than tensors"):
        io.load_checkpoint(path)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_code_in_a_checkpoint_does_not_run(io, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": RunsCode()}, "last.ckpt")
    with pytest.raises(ValueError, match="holds more than tensors and plain values"):
        io.load_checkpoint("last.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()


def test_a_write_that_fails_keeps_what_was_there(io, tmp_path):
    path = tmp_path / "last.ckpt"
    io.save_checkpoint(checkpoint(1), path)
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        io.save_checkpoint({"state_dict": {}, "bad": lambda: None}, path)
    assert value_of(io.load_checkpoint(path)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_keeps_what_was_there(io, tmp_path):
    path = tmp_path / "last.ckpt"
    io.save_checkpoint(checkpoint(1), path)
    os.symlink("/dev/full", tmp_path / "last.tmp")
    with pytest.raises((OSError, RuntimeError)):
        io.save_checkpoint(checkpoint(2), path)
    assert value_of(io.load_checkpoint(path)) == 1


@pytest.mark.parametrize("free", [0, 4096, 40_960])
def test_a_disk_that_fills_up_keeps_both_checkpoints(free, io, small_disk):
    path = small_disk / "last.ckpt"
    for value in (1, 2):
        io.save_checkpoint(checkpoint(value), path)
    large = checkpoint(3) | {"more": torch.zeros(20_000)}
    fill(small_disk, free)
    with pytest.raises(OSError, match="No space left on device"):
        io.save_checkpoint(large, path)
    assert value_of(io.load_checkpoint(path)) == 2
    assert value_of(io.load_checkpoint(path.with_name("previous.ckpt"))) == 1
    assert not path.with_name("last.tmp").exists()


def test_weights_that_no_load_would_read_are_refused_before_anything_is_written(io, tmp_path):
    path = tmp_path / "last.ckpt"
    weights = {"weight": torch.zeros(3), "penalty._extra_state": {"rates": [0.1, "text"]}}
    io.save_checkpoint({"state_dict": weights}, path)
    assert io.load_checkpoint(path)["state_dict"]["penalty._extra_state"] == {
        "rates": [0.1, "text"]
    }
    weights["penalty._extra_state"] = {"history": deque([torch.zeros(3)])}
    with pytest.raises(TypeError, match=r"^penalty\._extra_state has a value .* register buffers$"):
        io.save_checkpoint({"state_dict": weights}, path)
    assert "history" not in io.load_checkpoint(path)["state_dict"]["penalty._extra_state"]


@pytest.mark.parametrize("section", ["callbacks", "hyper_parameters", "loops"])
def test_any_part_that_no_load_would_read_is_refused_by_name(section, io, tmp_path):
    path = tmp_path / "last.ckpt"
    state = checkpoint(1) | {section: {"Own": {"best": 0.5, "rows": [torch.zeros(2)]}}}
    io.save_checkpoint(state, path)
    assert io.load_checkpoint(path)[section]["Own"]["best"] == 0.5
    state[section]["Own"]["best"] = np.float64(0.5)
    with pytest.raises(TypeError, match=rf"^{section}\.Own has a value that no checkpoint is read"):
        io.save_checkpoint(state, path)
    assert io.load_checkpoint(path)[section]["Own"]["best"] == 0.5


def test_parts_in_lists_are_tried_too(io, tmp_path):
    state = checkpoint(1) | {"optimizer_states": [{"state": {0: {"step": np.float64(1.0)}}}]}
    with pytest.raises(TypeError, match=r"^optimizer_states has a value that no checkpoint"):
        io.save_checkpoint(state, tmp_path / "last.ckpt")


def test_what_lies_elsewhere_is_left_to_lightning(io, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = {"state_dict": {"w": torch.arange(3)}}
    io.save_checkpoint(checkpoint, "memory://bucket/run/last.ckpt")
    loaded = io.load_checkpoint("memory://bucket/run/last.ckpt")
    assert loaded["state_dict"]["w"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(io, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*nowhere.ckpt"):
        io.load_checkpoint(tmp_path / "nowhere.ckpt")
