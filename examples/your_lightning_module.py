"""Regularizers and singular value bounding in a LightningModule that is not ours."""

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regularizer_collection.callbacks import SingularValueBounding
from regularizer_collection.regularizers import LabelSmoothing, Step, regularized_loss


class TimmStyleNet(nn.Module):
    """A network with the interface of the timm library: features, then a head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Linear(16, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(images).mean((2, 3)))


class YourModule(LightningModule):
    """Yours: any training step, any optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = TimmStyleNet(num_classes=4)
        self.regularizers = nn.ModuleList([LabelSmoothing(0.1)])

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        step = Step(
            self.backbone,
            num_classes=4,
            index=batch_idx,
            epoch=self.current_epoch,
            global_step=self.global_step,
            seed=0,
            rank=self.global_rank,
            world_size=self.trainer.world_size,
        )
        terms = regularized_loss(self.backbone, self.regularizers, *batch, step)
        self.log("train/loss", terms.total)
        return terms.total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


torch.manual_seed(0)
data = TensorDataset(torch.randn(64, 3, 8, 8), torch.arange(64) % 4)  # yours
module = YourModule()
trainer = Trainer(
    max_epochs=1,
    callbacks=[SingularValueBounding(eps=0.05, every_n_steps=4)],
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, DataLoader(data, batch_size=16))
sigma = torch.linalg.svdvals(module.backbone.head.weight)
print(f"singular values of the head: {sigma.min():.3f} to {sigma.max():.3f}")
