"""The step schedule of the source experiment, independent of the run's length."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR


class FractionalStepLR(MultiStepLR):
    """Multiplies the learning rate by gamma at fractions of the run, at the exact step.

    With 25,000 steps and milestones 1/3 and 2/3 the rate falls after steps 8,333 and 16,667. The
    classifier sets the run's length; step it after every optimizer step. Stepped after every epoch,
    it has the run's length in epochs.

    Args:
        optimizer: Optimizer whose rate is scheduled.
        milestones: Increasing fractions of the run, each between 0 and 1.
        gamma: Factor at each milestone.

    Raises:
        ValueError: If the milestones do not increase or leave (0, 1).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[float] = (1 / 3, 2 / 3),
        gamma: float = 0.1,
    ) -> None:
        if list(milestones) != sorted(set(milestones)) or not all(0 < m < 1 for m in milestones):
            raise ValueError(
                f"milestones are {list(milestones)}; give increasing fractions between 0 and 1"
            )
        self.fractions = list(milestones)
        self.has_length = False
        super().__init__(optimizer, [], gamma)

    def set_total_steps(self, total_steps: int) -> None:
        """Places the milestones in a run of so many optimizer steps."""
        self.has_length = True
        self.milestones = Counter(round(fraction * total_steps) for fraction in self.fractions)

    def get_lr(self) -> list[float | Tensor]:
        """Computes the rates.

        Raises:
            ValueError: If it is stepped before the run's length is known.
        """
        if self.last_epoch > 0 and not self.has_length:
            raise ValueError(
                "FractionalStepLR does not know the run's length, as inside another schedule; call "
                "set_total_steps, or give MultiStepLR with steps"
            )
        return super().get_lr()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues at the step of another run's state, on the schedule of this run's length."""
        milestones = self.milestones
        super().load_state_dict(state_dict)
        if self.milestones != milestones:
            self.milestones = milestones
            passed = sum(n for step, n in milestones.items() if step <= self.last_epoch)
            for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                group["lr"] = base_lr * self.gamma**passed
            self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
