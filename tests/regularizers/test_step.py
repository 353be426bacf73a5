import pytest
import torch

from regularizer_collection.regularizers import PixelSpace, Step


def drawn(step, **options):
    return torch.rand(3, generator=step.generator("stream", **options)).tolist()


def test_a_generator_depends_on_the_step_alone():
    assert drawn(Step(None, 2, index=1, epoch=2)) == drawn(Step(None, 2, index=1, epoch=2))
    others = [{"index": 2}, {"index": 1, "epoch": 3}, {"index": 1, "epoch": 2, "seed": 1}]
    assert len({tuple(drawn(Step(None, 2, **where))) for where in others}) == 3


def test_processes_draw_apart_unless_they_share():
    first, second = (Step(None, 2, rank=rank, world_size=2) for rank in (0, 1))
    assert drawn(first) != drawn(second)
    assert drawn(first, shared=True) == drawn(second, shared=True)


def test_the_shares_of_all_processes_are_the_whole():
    rows = torch.arange(7)
    shares = [Step(None, 2, rank=rank, world_size=3).share(rows) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == rows.tolist()


def test_labels_become_probabilities_and_probabilities_stay():
    step = Step(None, 3)
    probabilities = step.probabilities(torch.tensor([2, 0]))
    assert probabilities.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert step.probabilities(probabilities) is probabilities


def test_what_needs_pixels_says_so_where_the_data_does_not_tell():
    pixels = PixelSpace((0.5,), (0.5,))
    assert Step(None, 2, pixels=pixels).pixel_space("mixup") is pixels
    with pytest.raises(ValueError, match=r"mixup works on pixels, .* Step\(\.\.\., pixels="):
        Step(None, 2).pixel_space("mixup")
