"""L2 regularization."""

from typing import Any

from torch.optim import Optimizer

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.lightning_modules.classifier import Classifier


class L2Classifier(Classifier):
    """Adds weight decay: weight_decay / 2 times the squared norm of the parameters to the loss.

    It acts through the optimizer's ``weight_decay``, which for plain SGD is the gradient of that
    term.

    Args:
        weight_decay: Coefficient of the decay.
        decay_biases_and_norms: Decays all parameters, as the source experiment did; without it,
            those of 2 or more dimensions alone.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If ``weight_decay`` is negative, or the optimizer has no such option or another
            value of it.
    """

    def __init__(
        self, weight_decay: float = 0.0005, decay_biases_and_norms: bool = True, **kwargs: Any
    ) -> None:
        check_at_least("weight_decay", weight_decay, 0)
        super().__init__(**kwargs)
        self.weight_decay = weight_decay
        self.decay_biases_and_norms = decay_biases_and_norms

    def _build_optimizer(self) -> Optimizer:
        optimizer = super()._build_optimizer()
        for group in optimizer.param_groups:
            if "weight_decay" not in group:
                raise ValueError(
                    f"{type(optimizer).__name__} has no weight_decay; give an optimizer that has"
                )
            if group["weight_decay"] not in (0, self.weight_decay):
                raise ValueError(
                    f"the optimizer's weight_decay is {group['weight_decay']}, that of "
                    f"{type(self).__name__} {self.weight_decay}; give --model.weight_decay alone"
                )
            group["weight_decay"] = self.weight_decay
        if not self.decay_biases_and_norms:
            for group in optimizer.param_groups:
                group["params"] = [weight for weight in group["params"] if weight.ndim >= 2]
            others = [parameter for parameter in self.parameters() if parameter.ndim < 2]
            optimizer.add_param_group({"params": others, "weight_decay": 0.0})
        return optimizer
