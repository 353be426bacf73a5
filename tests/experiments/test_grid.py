import pytest

from regularizer_collection.experiments.grid import grid_points


def test_every_combination_is_a_point_with_a_name_and_options():
    points = grid_points(["model.lambda_jacobian=0.1,1", "optimizer.lr=0.5"])
    assert [point.suffix for point in points] == [
        "_lambda_jacobian=0.1_lr=0.5",
        "_lambda_jacobian=1_lr=0.5",
    ]
    assert points[1].options == ("--model.lambda_jacobian", "1", "--optimizer.lr", "0.5")


def test_a_list_is_one_value():
    points = grid_points(["model.lr_scheduler.milestones=[0.3,0.6],[0.5]"])
    assert [point.values for point in points] == [("[0.3,0.6]",), ("[0.5]",)]


def test_without_a_grid_there_is_one_point():
    (point,) = grid_points([])
    assert (point.suffix, point.options) == ("", ())


def test_a_key_in_two_entries_is_refused():
    with pytest.raises(
        ValueError, match=r"grid key model\.eps is given twice; give all its values"
    ):
        grid_points(["model.eps=0.1", "--model.eps=0.2"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("model.eps", "grid entry 'model.eps' has no value; give KEY=VALUE,VALUE"),
        ("model.eps=", "has no value"),
        ("=1", "has no value"),
        ("model.eps=1,,2", "has no value"),
        ("data.data_dir=a/b", "grid value 'a/b' cannot be in a folder's name"),
        ("model.eps=1,1", "grid value '1' of model.eps is given twice"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        grid_points([entry])
