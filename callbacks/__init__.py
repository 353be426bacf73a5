"""What happens around training."""

from regularizer_collection.callbacks.dashboard import Dashboard
from regularizer_collection.callbacks.evaluation import Evaluation
from regularizer_collection.callbacks.non_finite_loss import StopOnNonFiniteLoss
from regularizer_collection.callbacks.singular_value_bounding import SingularValueBounding

__all__ = ["Dashboard", "Evaluation", "SingularValueBounding", "StopOnNonFiniteLoss"]
