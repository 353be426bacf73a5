import torch

import benchmarks.__main__  # noqa: F401  # every benchmark can still be imported
from benchmarks.regularizers import MIXED_BATCH
from regularizer_collection.regularizers import CutMix, Step


def test_the_batch_that_is_timed_is_one_that_cutmix_mixes():
    images, labels = torch.rand(10, 3, 32, 32), torch.arange(10)
    pasted, targets = CutMix().transform(images, labels, Step(None, 100, index=MIXED_BATCH))
    assert not torch.equal(pasted, images)
    assert targets.shape == (10, 100)
