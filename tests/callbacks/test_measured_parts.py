import torch

from regularizer_collection.callbacks.measured_parts import MeasuredParts


def test_a_value_comes_back_as_it_was_kept(tmp_path):
    MeasuredParts(tmp_path / "parts", "network").save(3, {"right": torch.tensor([True, False])})
    kept = MeasuredParts(tmp_path / "parts", "network").load(3)
    assert kept["right"].tolist() == [True, False]
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["3.pt"]


def test_values_of_another_network_are_ignored(tmp_path):
    MeasuredParts(tmp_path, "network").save(0, 1.5)
    assert MeasuredParts(tmp_path, "another").load(0) is None
    assert MeasuredParts(tmp_path, "network").load(1) is None


def test_nothing_is_left_once_all_is_measured(tmp_path):
    parts = MeasuredParts(tmp_path / "parts", "network")
    parts.save(0, 1.5)
    parts.clear()
    parts.clear()
    assert list(tmp_path.iterdir()) == []
