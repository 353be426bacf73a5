import pytest
import torch

from regularizer_collection.lightning_modules import FractionalStepLR


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


@pytest.mark.parametrize(
    ("total_steps", "cuts"), [(25_000, (8333, 16667)), (7_500, (2500, 5000)), (10, (3, 7))]
)
def test_cuts_tenfold_at_the_exact_step(total_steps, cuts):
    sgd = optimizer()
    schedule = FractionalStepLR(sgd)
    schedule.set_total_steps(total_steps)
    rates = []
    for _ in range(total_steps):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()
    expected = [0.1 * 0.1 ** sum(step >= cut for cut in cuts) for step in range(total_steps)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("milestones", [(0.5, 0.2), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5)])
def test_refuses_milestones_that_are_no_increasing_fractions(milestones):
    with pytest.raises(ValueError, match="give increasing fractions between 0 and 1"):
        FractionalStepLR(optimizer(), milestones)


def test_a_schedule_without_a_length_says_so_and_does_not_stay_high():
    sgd = optimizer()
    schedule = FractionalStepLR(sgd)
    sgd.step()
    with pytest.raises(ValueError, match="does not know the run's length"):
        schedule.step()
