import torch

from regularizer_collection.lightning_modules import ResNet18, SVBClassifier


def test_an_orthogonal_start_is_orthogonal_in_the_memory_format_of_the_backbones_weights():
    plain, network = ResNet18(10), SVBClassifier(orthogonal_init=True, num_classes=10).backbone
    for before, weight in zip(plain.parameters(), network.parameters(), strict=True):
        assert weight.stride() == before.stride()
        if weight.ndim >= 2:
            sigma = torch.linalg.svdvals(weight.detach().flatten(1))
            torch.testing.assert_close(sigma, torch.ones_like(sigma))
