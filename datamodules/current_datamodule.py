"""The data that a trainer uses at the moment."""

from pytorch_lightning import LightningDataModule, Trainer


def current_datamodule(trainer: Trainer) -> LightningDataModule | None:
    """Returns the data module that the trainer was given in this call; None with other loaders.

    ``trainer.datamodule`` would still be that of an earlier call, such as of a fit before a test on
    loaders.
    """
    # Private in Lightning: a version without it has nothing better than the other.
    selector = getattr(getattr(trainer, "_data_connector", None), "_datahook_selector", None)
    return getattr(trainer, "datamodule", None) if selector is None else selector.datamodule
