import pytest
import torch
import torch.nn.functional as F

from regularizer_collection.regularizers import LabelSmoothing, Mixup, Step, regularized_loss
from tests.regularizers.conftest import batch, linear


def test_the_loss_is_torchs_with_label_smoothing():
    network, (images, labels) = linear(), batch()
    terms = regularized_loss(network, [LabelSmoothing(0.3)], images, labels, Step(network, 5))
    expected = F.cross_entropy(network(images), labels, label_smoothing=0.3)
    torch.testing.assert_close(terms.total, expected)


def test_it_commutes_with_mixup():
    network, step = linear(), Step(linear(), 5)
    both = [LabelSmoothing(0.3), Mixup(1.0)]
    terms = [regularized_loss(network, order, *batch(), step) for order in (both, both[::-1])]
    torch.testing.assert_close(terms[0].total, terms[1].total)


@pytest.mark.parametrize("smoothing", [-0.1, 1.1])
def test_refuses_a_share_that_is_none(smoothing):
    with pytest.raises(ValueError, match=f"smoothing is {smoothing}; give a number from 0 to 1"):
        LabelSmoothing(smoothing)
