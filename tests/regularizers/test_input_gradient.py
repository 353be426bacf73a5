import pytest
import torch
import torch.nn.functional as F

from regularizer_collection.regularizers import InputGradient, Step, regularized_loss
from tests.regularizers.conftest import batch, linear


@pytest.mark.parametrize("size", [4, 12])
def test_of_a_linear_softmax_it_is_the_closed_form_whatever_the_batch(size):
    network = linear()
    images, labels = batch(size)
    terms = regularized_loss(network, [InputGradient(2.0)], images, labels, Step(network, 5))
    p = network(images).softmax(1)
    gradients = (p - F.one_hot(labels, 5)) @ network[1].weight
    expected = gradients.square().sum(1).mean()
    torch.testing.assert_close(terms.penalties["input_gradient"], expected)
    expected_gradient, found = (
        torch.autograd.grad(value, network[1].weight, retain_graph=True)[0]
        for value in (expected, terms.penalties["input_gradient"])
    )
    torch.testing.assert_close(found, expected_gradient)
