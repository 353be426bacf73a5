"""What is trained: the shared classifier, one LightningModule per regularizer, the backbone."""

from lightning_modules.classifier import Classifier
from lightning_modules.fractional_step_lr import FractionalStepLR
from lightning_modules.jacobian import JacobianClassifier
from lightning_modules.l2 import L2Classifier
from lightning_modules.no_reg import NoRegClassifier
from lightning_modules.resnet18 import ResNet18
from lightning_modules.svb import SVBClassifier
from lightning_modules.sync_batch_norm import SyncBatchNorm

__all__ = [
    "Classifier",
    "FractionalStepLR",
    "JacobianClassifier",
    "L2Classifier",
    "NoRegClassifier",
    "ResNet18",
    "SVBClassifier",
    "SyncBatchNorm",
]
