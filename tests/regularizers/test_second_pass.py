import torch
from torch import nn

from regularizer_collection.regularizers.second_pass import loss_at, same_dropout, statistics


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2))


def test_dropout_repeats_itself():
    backbone, images = network(), torch.randn(8, 4)
    with same_dropout(images.device):
        first = backbone(images)
    assert torch.equal(first, backbone(images))


def test_a_loss_is_evaluated_at_other_weights_and_the_backbone_keeps_its_own():
    backbone, images = network().eval(), torch.randn(8, 4)
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    moved = {name: weight + 1 for name, weight in backbone.named_parameters()}
    value = loss_at(backbone, moved, lambda: backbone(images).sum() + backbone[0].weight.sum())
    other = network().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    torch.testing.assert_close(value, other(images).sum() + other[0].weight.sum())
    assert all(torch.equal(before[name], weight) for name, weight in backbone.state_dict().items())


def test_a_pass_over_copied_statistics_counts_no_batch():
    backbone, images = network(), torch.randn(8, 4)
    loss_at(backbone, statistics(backbone), lambda: backbone(images).sum())
    assert backbone[1].num_batches_tracked == 0
    assert torch.equal(backbone[1].running_mean, torch.zeros(6))
