"""What is trained: the shared classifier, and one LightningModule per regularizer."""

from regularizer_collection.backbones import LeNet, ResNet18
from regularizer_collection.lightning_modules.adversarial import AdversarialClassifier
from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.lightning_modules.confidence_penalty import ConfidencePenaltyClassifier
from regularizer_collection.lightning_modules.curvature import CurvatureClassifier
from regularizer_collection.lightning_modules.cutmix import CutMixClassifier
from regularizer_collection.lightning_modules.elastic_net import ElasticNetClassifier
from regularizer_collection.lightning_modules.fractional_step_lr import FractionalStepLR
from regularizer_collection.lightning_modules.input_gradient import InputGradientClassifier
from regularizer_collection.lightning_modules.input_noise import InputNoiseClassifier
from regularizer_collection.lightning_modules.jacobian import JacobianClassifier
from regularizer_collection.lightning_modules.l2 import L2Classifier
from regularizer_collection.lightning_modules.label_smoothing import LabelSmoothingClassifier
from regularizer_collection.lightning_modules.mixup import MixupClassifier
from regularizer_collection.lightning_modules.no_reg import NoRegClassifier
from regularizer_collection.lightning_modules.norm_control import NormControlClassifier
from regularizer_collection.lightning_modules.sam import SAMClassifier
from regularizer_collection.lightning_modules.soft_orthogonality import SoftOrthogonalityClassifier
from regularizer_collection.lightning_modules.spectral_norm_penalty import (
    SpectralNormPenaltyClassifier,
)
from regularizer_collection.lightning_modules.stochastic_depth import StochasticDepthClassifier
from regularizer_collection.lightning_modules.svb import SVBClassifier
from regularizer_collection.lightning_modules.sync_batch_norm import SyncBatchNorm
from regularizer_collection.lightning_modules.trades import TRADESClassifier
from regularizer_collection.lightning_modules.virtual_adversarial import (
    VirtualAdversarialClassifier,
)
from regularizer_collection.lightning_modules.weight_noise import WeightNoiseClassifier

__all__ = [
    "AdversarialClassifier",
    "Classifier",
    "ConfidencePenaltyClassifier",
    "CurvatureClassifier",
    "CutMixClassifier",
    "ElasticNetClassifier",
    "FractionalStepLR",
    "InputGradientClassifier",
    "InputNoiseClassifier",
    "JacobianClassifier",
    "L2Classifier",
    "LabelSmoothingClassifier",
    "LeNet",
    "MixupClassifier",
    "NoRegClassifier",
    "NormControlClassifier",
    "ResNet18",
    "SAMClassifier",
    "SVBClassifier",
    "SoftOrthogonalityClassifier",
    "SpectralNormPenaltyClassifier",
    "StochasticDepthClassifier",
    "SyncBatchNorm",
    "TRADESClassifier",
    "VirtualAdversarialClassifier",
    "WeightNoiseClassifier",
]
