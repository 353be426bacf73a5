"""The control of singular value bounding: norms alone."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch import nn

from regularizer_collection.callbacks.weight_projection import WeightProjection, backbone_of
from regularizer_collection.functional.normalised_weights import normalised_weights


class NormControl(WeightProjection):
    """Gives each weight before a batch normalisation its initial norm back: W ||W_0|| / ||W||.

    Batch normalisation takes the scale of such a weight out again, so the network computes what it
    did; only the effective learning rate, lr / ||W||^2, changes (van Laarhoven 2017, arXiv
    1706.05350). A regularizer that does no more than this one does, acts through that rate.

    Args:
        every_n_steps: Optimizer steps between two projections.

    Raises:
        ValueError: If it is below 1.
    """

    def __init__(self, every_n_steps: int = 600) -> None:
        super().__init__(every_n_steps)
        self.initial_norms: dict[str, float] = {}

    def forget(self) -> None:
        """Begins as if nothing had been trained."""
        super().forget()
        self.initial_norms = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the initial norms, unless a checkpoint gave those of its run.

        Raises:
            ValueError: If no weight stands before a batch normalisation.
        """
        weights = self.weights(backbone_of(pl_module))
        if not weights:
            raise ValueError(
                f"{type(backbone_of(pl_module)).__name__} has no weight before a batch "
                "normalisation, so there is no norm to control; give another backbone"
            )
        if not self.initial_norms:
            self.initial_norms = {name: w.norm().item() for name, w in weights.items()}

    def weights(self, network: nn.Module) -> dict[str, nn.Parameter]:
        """Returns the weights that stand before a batch normalisation."""
        return normalised_weights(network)

    def project_(self, name: str, weight: nn.Parameter) -> None:
        """Gives a weight its initial norm back, in place."""
        weight.mul_(self.initial_norms[name] / weight.norm())

    def state_dict(self) -> dict[str, Any]:
        """Returns the last step and the initial norms."""
        return super().state_dict() | {"initial_norms": self.initial_norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the last step and the initial norms."""
        super().load_state_dict(state_dict)
        self.initial_norms = state_dict["initial_norms"]
