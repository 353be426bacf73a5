"""Which layers of a network stand before a batch normalisation."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch import nn

from regularizer_collection.callbacks.running_statistics import images_of
from regularizer_collection.callbacks.weight_projection import backbone_of
from regularizer_collection.functional.normalised_weights import normalised_weights
from regularizer_collection.regularizers.second_pass import eval_mode


def normalised_layers(
    trainer: Trainer, pl_module: LightningModule, batch: Any
) -> dict[str, nn.Parameter]:
    """Finds the weights whose scale a batch normalisation takes out, see ``normalised_weights``.

    Args:
        trainer: Trainer in a fit.
        pl_module: Module with a backbone, or a network itself.
        batch: Training batch on the module's device, images or a tuple that begins with them.

    Returns:
        Weights by the names of their layers in the backbone, in one that is compiled by their names
        before that.

    Raises:
        ValueError: If the batch is something else.
    """
    network = backbone_of(pl_module)
    network = getattr(network, "_orig_mod", network)
    with eval_mode(network), trainer.precision_plugin.train_step_context():
        return normalised_weights(network, images_of(batch)[:2])
