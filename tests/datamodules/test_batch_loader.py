from itertools import chain

import pytest
import torch

from regularizer_collection.datamodules.batch_loader import BatchLoader


def loader(samples=103, batch_size=10, **kwargs):
    images = torch.arange(samples, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 2, 3)
    return BatchLoader(images, torch.arange(samples), batch_size, **kwargs)


def labels_of(batches):
    return [labels.tolist() for _, labels in batches]


def test_every_sample_once_in_batches_that_differ_by_at_most_one():
    batches = labels_of(loader(shuffle_seed=1))
    assert sorted(chain(*batches)) == list(range(103))
    assert len(batches) == 11
    assert {len(batch) for batch in batches} == {9, 10}


def test_images_belong_to_their_labels():
    for images, labels in loader(shuffle_seed=1):
        assert torch.equal(images[:, 0, 0, 0].long(), labels)


def test_without_a_seed_the_order_is_kept():
    assert list(chain(*labels_of(loader()))) == list(range(103))


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again, next_epoch, other_seed = (
        labels_of(loader(shuffle_seed=seed, position=lambda e=epoch: (e, 0)))
        for seed, epoch in [(1, 0), (1, 0), (1, 1), (2, 0)]
    )
    assert first == again
    assert first != next_epoch
    assert first != other_seed


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_global_batches_of_one_process(world_size):
    whole = labels_of(loader(batch_size=12, shuffle_seed=1))
    shares = [
        labels_of(loader(batch_size=12, shuffle_seed=1, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert [sorted(chain(*parts)) for parts in zip(*map(tuples, shares), strict=True)] == [
        sorted(batch) for batch in whole
    ]


def tuples(batches):
    return [tuple(batch) for batch in batches]


def test_continues_in_the_middle_of_an_epoch():
    whole = labels_of(loader(shuffle_seed=1, position=lambda: (3, 0)))
    assert labels_of(loader(shuffle_seed=1, position=lambda: (3, 4))) == whole[4:]


def test_the_position_is_read_when_iteration_starts():
    positions = [(0, 0), (1, 0), (1, 9)]
    batches = loader(shuffle_seed=1, position=lambda: positions.pop(0))
    assert [len(labels_of(batches)) for _ in range(3)] == [11, 11, 2]
