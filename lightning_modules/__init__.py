"""What is trained: the shared classifier, one LightningModule per regularizer, the backbone."""

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.lightning_modules.confidence_penalty import ConfidencePenaltyClassifier
from regularizer_collection.lightning_modules.cutmix import CutMixClassifier
from regularizer_collection.lightning_modules.fractional_step_lr import FractionalStepLR
from regularizer_collection.lightning_modules.input_noise import InputNoiseClassifier
from regularizer_collection.lightning_modules.jacobian import JacobianClassifier
from regularizer_collection.lightning_modules.l2 import L2Classifier
from regularizer_collection.lightning_modules.label_smoothing import LabelSmoothingClassifier
from regularizer_collection.lightning_modules.mixup import MixupClassifier
from regularizer_collection.lightning_modules.no_reg import NoRegClassifier
from regularizer_collection.lightning_modules.norm_control import NormControlClassifier
from regularizer_collection.lightning_modules.resnet18 import ResNet18
from regularizer_collection.lightning_modules.sam import SAMClassifier
from regularizer_collection.lightning_modules.svb import SVBClassifier
from regularizer_collection.lightning_modules.sync_batch_norm import SyncBatchNorm

__all__ = [
    "Classifier",
    "ConfidencePenaltyClassifier",
    "CutMixClassifier",
    "FractionalStepLR",
    "InputNoiseClassifier",
    "JacobianClassifier",
    "L2Classifier",
    "LabelSmoothingClassifier",
    "MixupClassifier",
    "NoRegClassifier",
    "NormControlClassifier",
    "ResNet18",
    "SAMClassifier",
    "SVBClassifier",
    "SyncBatchNorm",
]
