"""Regularizers in a plain PyTorch loop: no Lightning, any network, any optimizer."""

import torch
from torch import nn

from regularizer_collection.regularizers import JacobianPenalty, Mixup, Step, regularized_loss

torch.manual_seed(0)
images, labels = torch.randn(64, 3, 8, 8), torch.arange(64) % 4  # your data
backbone = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 4))
regularizers = nn.ModuleList([Mixup(alpha=0.4), JacobianPenalty(coefficient=0.01)])
trained = nn.ModuleList([backbone, regularizers])  # some regularizers have parameters or buffers
optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)

for index in range(20):
    step = Step(backbone, num_classes=4, index=index, global_step=index)
    terms = regularized_loss(backbone, regularizers, images, labels, step)
    optimizer.zero_grad()
    terms.total.backward()
    optimizer.step()

accuracy = (backbone(images).argmax(1) == labels).float().mean()
print(f"loss {terms.total:.3f}, of it penalty {terms.penalties['jacobian_penalty']:.3f}")
print(f"training accuracy {accuracy:.2f}")
