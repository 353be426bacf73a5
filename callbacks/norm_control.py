"""The control of singular value bounding: norms alone."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch import nn

from regularizer_collection.callbacks.normalised_layers import normalised_layers
from regularizer_collection.callbacks.weight_projection import WeightProjection, backbone_of


class NormControl(WeightProjection):
    """Gives each weight before a batch normalisation its initial norm back: W ||W_0|| / ||W||.

    Such are the layers whose output goes into a batch normalisation and nowhere else. It takes the
    scale of the weight out again, so the network computes what it did; only the effective learning
    rate, lr / ||W||^2, changes (van Laarhoven 2017, arXiv 1706.05350). A regularizer that does no
    more than this one does, acts through that rate.

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

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Notes the initial norms before the first step, unless a checkpoint gave those of its run.

        Raises:
            ValueError: If no weight stands directly before a batch normalisation.
        """
        if self.initial_norms:
            return
        weights = normalised_layers(trainer, pl_module, batch)
        if not weights:
            raise ValueError(
                f"{type(backbone_of(pl_module)).__name__} has no weight before a batch "
                "normalisation, so there is no norm to control; give another backbone"
            )
        self.initial_norms = {name: weight.norm().item() for name, weight in weights.items()}

    def weights(self, network: nn.Module) -> dict[str, nn.Parameter]:
        """Returns the weights whose initial norms are known."""
        network = getattr(network, "_orig_mod", network)
        return {name: network.get_parameter(f"{name}.weight") for name in self.initial_norms}

    def project_(self, name: str, weight: nn.Parameter) -> None:
        """Gives a weight its initial norm back, in place."""
        weight.mul_(self.initial_norms[name] / weight.norm())

    def state_dict(self) -> dict[str, Any]:
        """Returns the last step and the initial norms."""
        return super().state_dict() | {"initial_norms": self.initial_norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the last step and the initial norms."""
        super().load_state_dict(state_dict)
        norms = state_dict["initial_norms"]  # whose names once told of a compiled backbone
        self.initial_norms = {name.removeprefix("_orig_mod."): norms[name] for name in norms}
