import pytest
import torch

from regularizer_collection.regularizers import Penalty, Step


class One(Penalty):
    def value(self, logits, images, targets, step):
        return torch.tensor(1.0)


def added(penalty, **where):
    """Terms at a step; None where there is none."""
    term = penalty.penalty(None, None, None, Step(None, 2, **where))
    return None if term is None else term.item()


def test_every_second_step_has_twice_the_weight():
    penalty = One(0.5, every_n_steps=2)
    assert [added(penalty, global_step=step) for step in range(4)] == [1.0, None, 1.0, None]
    assert [added(penalty, index=index) for index in range(4)] == [1.0, None, 1.0, None]


def test_the_mean_weight_is_the_coefficient_however_many_batches_an_epoch_has():
    penalty = One(0.5, every_n_steps=10)
    steps = [(epoch, index) for epoch in range(10) for index in range(12)]
    weights = [
        added(penalty, epoch=epoch, index=index, global_step=12 * epoch + index) or 0.0
        for epoch, index in steps
    ]
    assert sum(weights) / len(weights) == pytest.approx(0.5)


def test_all_batches_of_an_accumulated_step_count_alike():
    penalty = One(0.5, every_n_steps=2)
    weights = [added(penalty, index=i, global_step=1 + i // 3) for i in range(9)]
    assert weights == 3 * [None] + 3 * [1.0] + 3 * [None]


def test_the_weight_rises_linearly_from_zero_with_the_optimizer_steps():
    penalty = One(8.0, warmup_steps=4)
    steps = [added(penalty, global_step=step) for step in range(6)]
    assert steps == [None, 2.0, 4.0, 6.0, 8.0, 8.0]


def test_its_own_warm_up_goes_before_that_of_the_run():
    assert added(One(1.0), global_step=1, penalty_warmup_steps=4) == 0.25
    assert added(One(1.0, warmup_steps=2), global_step=1, penalty_warmup_steps=4) == 0.5
    assert added(One(1.0, warmup_steps=0), global_step=0, penalty_warmup_steps=4) == 1.0


def test_a_coefficient_of_zero_is_never_computed():
    assert added(One(0.0)) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coefficient": -1.0}, "coefficient is -1.0; give 0 or more"),
        ({"coefficient": float("nan")}, "coefficient is nan; give 0 or more"),
        ({"coefficient": 1.0, "every_n_steps": 0}, "every_n_steps is 0; give 1 or more"),
        ({"coefficient": 1.0, "warmup_steps": -1}, "warmup_steps is -1; give 0 or more"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        One(**arguments)
