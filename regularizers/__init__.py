"""What changes the loss of a training step, usable without Lightning."""

from regularizer_collection.functional.pixels import PixelSpace
from regularizer_collection.regularizers.adversarial_training import AdversarialTraining
from regularizer_collection.regularizers.confidence_penalty import ConfidencePenalty
from regularizer_collection.regularizers.curvature import Curvature
from regularizer_collection.regularizers.cutmix import CutMix
from regularizer_collection.regularizers.elastic_net import ElasticNet
from regularizer_collection.regularizers.input_gradient import InputGradient
from regularizer_collection.regularizers.input_noise import InputNoise
from regularizer_collection.regularizers.jacobian_penalty import JacobianPenalty
from regularizer_collection.regularizers.label_smoothing import LabelSmoothing
from regularizer_collection.regularizers.mixup import Mixup
from regularizer_collection.regularizers.objective import (
    Terms,
    name_regularizers,
    penalty_gradient_ratio,
    regularized_loss,
)
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.sharpness_aware import SharpnessAware
from regularizer_collection.regularizers.soft_orthogonality import SoftOrthogonality
from regularizer_collection.regularizers.spectral_norm_penalty import SpectralNormPenalty
from regularizer_collection.regularizers.step import Step
from regularizer_collection.regularizers.trades_penalty import TRADESPenalty
from regularizer_collection.regularizers.virtual_adversarial import VirtualAdversarial
from regularizer_collection.regularizers.weight_noise import WeightNoise

__all__ = [
    "AdversarialTraining",
    "ConfidencePenalty",
    "Curvature",
    "CutMix",
    "ElasticNet",
    "InputGradient",
    "InputNoise",
    "JacobianPenalty",
    "LabelSmoothing",
    "Mixup",
    "Penalty",
    "PixelSpace",
    "Regularizer",
    "SharpnessAware",
    "SoftOrthogonality",
    "SpectralNormPenalty",
    "Step",
    "TRADESPenalty",
    "Terms",
    "VirtualAdversarial",
    "WeightNoise",
    "name_regularizers",
    "penalty_gradient_ratio",
    "regularized_loss",
]
