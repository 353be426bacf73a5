import pytest
import torch
import torch.nn.functional as F

from regularizer_collection.regularizers import ElasticNet, Step, regularized_loss
from tests.regularizers.conftest import batch, linear


def test_the_gradient_is_l1_sign_w_plus_l2_w():
    network, plain = linear(), linear()
    images, labels = batch()
    F.cross_entropy(plain(images), labels).backward()
    regularized_loss(
        network, [ElasticNet(0.3, 0.7)], images, labels, Step(network, 5)
    ).total.backward()
    w = network[1].weight.detach()
    expected = plain[1].weight.grad + 0.3 * w.sign() + 0.7 * w
    torch.testing.assert_close(network[1].weight.grad, expected)
    assert torch.equal(network[1].bias.grad, plain[1].bias.grad)


def test_l2_alone_is_the_weight_decay_of_sgd():
    network, decayed = linear(), linear()
    images, labels = batch()
    regularizer = ElasticNet(0.0, 0.05)
    ours = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    groups = [
        {"params": [decayed[1].weight], "weight_decay": 0.05},
        {"params": [decayed[1].bias]},
    ]
    theirs = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    for _ in range(3):
        ours.zero_grad()
        theirs.zero_grad()
        regularized_loss(network, [regularizer], images, labels, Step(network, 5)).total.backward()
        F.cross_entropy(decayed(images), labels).backward()
        ours.step()
        theirs.step()
    torch.testing.assert_close(network[1].weight, decayed[1].weight)


@pytest.mark.parametrize(("arguments", "name"), [((-1.0,), "l1"), ((0.0, -1.0), "l2")])
def test_refuses_negative_factors(arguments, name):
    with pytest.raises(ValueError, match=f"{name} is -1.0; give 0 or more"):
        ElasticNet(*arguments)
