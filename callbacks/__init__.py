"""What happens around training."""

from callbacks.dashboard import Dashboard
from callbacks.evaluation import Evaluation
from callbacks.non_finite_loss import StopOnNonFiniteLoss
from callbacks.singular_value_bounding import SingularValueBounding

__all__ = ["Dashboard", "Evaluation", "SingularValueBounding", "StopOnNonFiniteLoss"]
