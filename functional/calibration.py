"""How far a network's probabilities can be believed."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

_NUM_DRAWS = 100


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns -log p of the label [samples], a proper score."""
    return F.cross_entropy(logits, labels, reduction="none")


def brier_score(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the squared distance of the probabilities from the label's one-hot [samples].

    A proper score from 0 to 2, summed over classes (Brier 1950).
    """
    return (logits.softmax(1) - F.one_hot(labels, logits.shape[1])).square().sum(1)


class ReliabilityBins(NamedTuple):
    """Bins of equally many samples, by rising confidence.

    Attributes:
        confidence: Mean probability of the predicted class in each bin.
        accuracy: Share of right predictions in each bin.
        counts: Samples in each bin.
    """

    confidence: Tensor
    accuracy: Tensor
    counts: Tensor

    @property
    def error(self) -> float:
        """Calibration error: mean over samples of the bins' |accuracy - confidence|."""
        gaps = (self.accuracy - self.confidence).abs()
        return ((gaps * self.counts).sum() / self.counts.sum()).item()


def reliability_bins(confidence: Tensor, is_right: Tensor, num_bins: int = 15) -> ReliabilityBins:
    """Sorts samples by confidence into bins of equal mass (Nguyen and O'Connor 2015).

    Samples of equal confidence share their accuracy, so that their order means nothing.

    Args:
        confidence: Probability of the predicted class [samples].
        is_right: Whether the prediction is right [samples].
        num_bins: Number of bins, at most one for each sample.
    """
    of_equals = confidence.unique(return_inverse=True)[1]
    accuracy = of_equals.bincount(is_right.double()) / of_equals.bincount()
    order = confidence.argsort(stable=True)
    pairs = torch.stack([confidence.double(), accuracy[of_equals]])[:, order]
    parts = pairs.tensor_split(min(num_bins, len(order)), dim=1)
    means = torch.stack([part.mean(1) for part in parts], 1)
    return ReliabilityBins(means[0], means[1], torch.tensor([part.shape[1] for part in parts]))


def error_if_calibrated(confidence: Tensor) -> float:
    """Estimates the calibration error that perfect confidences would show, from chance alone.

    Right and wrong are drawn with the confidences as probabilities, and the errors of 100 draws
    averaged. An error of about this much says nothing against a network; it is no part of a larger
    one that could be subtracted.

    Args:
        confidence: Probability of the predicted class [samples].
    """
    generator = torch.Generator().manual_seed(0)
    confidence = confidence.double().cpu()
    errors = [
        reliability_bins(confidence, torch.bernoulli(confidence, generator=generator))
        for _ in range(_NUM_DRAWS)
    ]
    return float(np.mean([bins.error for bins in errors]))


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """Finds the divisor of the logits that minimises the negative log-likelihood.

    Guo et al. 2017 (arXiv 1706.04599, section 4.2). It must be fitted on images that are not those
    it is judged on.

    Args:
        logits: Logits [samples, classes].
        labels: Classes [samples].
    """
    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / float(np.exp(log_temperature)), labels).item()

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 5), method="bounded").x))


def false_positive_rate_95(inside: Tensor, outside: Tensor) -> float:
    """Returns the share of foreign images accepted where 95 % of the known ones are.

    Args:
        inside: Scores of images of the data, higher where the network is surer [images].
        outside: Scores of foreign images.
    """
    threshold = torch.quantile(inside.double(), 0.05)
    return (outside.double() >= threshold).double().mean().item()


def area_under_roc(inside: Tensor, outside: Tensor) -> float:
    """Returns the probability that an image of the data scores above a foreign one, ties half.

    Args:
        inside: Scores of images of the data [images].
        outside: Scores of foreign images.
    """
    scores = torch.cat([inside, outside]).double().unique(return_inverse=True)[1]
    counts = torch.bincount(scores).double()
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[scores]
    below = ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2
    return (below / (len(inside) * len(outside))).item()
