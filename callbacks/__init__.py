"""What happens around training."""

from regularizer_collection.callbacks.adversarial_planes import AdversarialPlanes
from regularizer_collection.callbacks.calibration import Calibration
from regularizer_collection.callbacks.dashboard import Dashboard
from regularizer_collection.callbacks.data_planes import DataPlanes
from regularizer_collection.callbacks.epoch_line import EpochLine
from regularizer_collection.callbacks.evaluation import Evaluation
from regularizer_collection.callbacks.measurement import Measurement
from regularizer_collection.callbacks.non_finite_loss import StopOnNonFiniteLoss
from regularizer_collection.callbacks.norm_control import NormControl
from regularizer_collection.callbacks.plane_set import PlaneSet
from regularizer_collection.callbacks.prediction_writer import PredictionWriter
from regularizer_collection.callbacks.random_planes import RandomPlanes
from regularizer_collection.callbacks.robustness import Robustness
from regularizer_collection.callbacks.segments import Segments
from regularizer_collection.callbacks.singular_value_bounding import SingularValueBounding
from regularizer_collection.callbacks.spectra import Spectra
from regularizer_collection.callbacks.weight_growth import WeightGrowth
from regularizer_collection.callbacks.weight_projection import WeightProjection

__all__ = [
    "AdversarialPlanes",
    "Calibration",
    "Dashboard",
    "DataPlanes",
    "EpochLine",
    "Evaluation",
    "Measurement",
    "NormControl",
    "PlaneSet",
    "PredictionWriter",
    "RandomPlanes",
    "Robustness",
    "Segments",
    "SingularValueBounding",
    "Spectra",
    "StopOnNonFiniteLoss",
    "WeightGrowth",
    "WeightProjection",
]
