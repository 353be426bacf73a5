import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from torchmetrics.functional.classification import binary_auroc, binary_roc

from regularizer_collection.functional.calibration import (
    area_under_roc,
    brier_score,
    error_if_calibrated,
    false_positive_rate_95,
    fitted_temperature,
    negative_log_likelihood,
    reliability_bins,
)


@pytest.fixture
def predictions():
    generator = torch.Generator().manual_seed(0)
    return (
        2 * torch.randn(500, 7, generator=generator, dtype=torch.float64),
        torch.randint(7, (500,), generator=generator),
    )


def test_proper_scores_follow_their_formulas(predictions):
    logits, labels = predictions
    probabilities = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    own = probabilities[np.arange(500), labels]
    np.testing.assert_allclose(negative_log_likelihood(logits, labels), -np.log(own))
    brier = (probabilities**2).sum(1) - 2 * own + 1
    np.testing.assert_allclose(brier_score(logits, labels), brier)


def test_bins_hold_equally_many_samples_and_the_error_is_that_of_a_naive_loop(predictions):
    logits, labels = predictions
    confidence, predicted = logits.softmax(1).max(1)
    is_right = predicted == labels
    bins = reliability_bins(confidence, is_right, 15)
    assert bins.counts.sum() == 500
    assert bins.counts.max() - bins.counts.min() <= 1
    naive = 0.0
    for part in np.array_split(np.argsort(confidence.numpy(), kind="stable"), 15):
        gap = is_right[part].double().mean() - confidence[part].mean()
        naive += len(part) / 500 * abs(gap.item())
    assert bins.error == pytest.approx(naive)


def test_the_order_of_equal_confidences_means_nothing():
    confidence = torch.tensor([0.25] * 400)
    is_right = torch.arange(400) < 100  # sorted by class, say
    assert reliability_bins(confidence, is_right).error == pytest.approx(0, abs=1e-12)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    mixed = torch.where(torch.arange(400) < 200, 0.25, 0.75)
    expected = reliability_bins(mixed, is_right).error
    assert reliability_bins(mixed[order], is_right[order]).error == pytest.approx(expected)


def test_calibrated_predictions_show_the_error_that_is_told_to_be_chance():
    confidence = torch.rand(2000, generator=torch.Generator().manual_seed(1))
    shown = [
        reliability_bins(
            confidence, torch.rand(2000, generator=torch.Generator().manual_seed(n)) < confidence
        ).error
        for n in range(2, 102)
    ]
    told = error_if_calibrated(confidence)
    assert told == pytest.approx(np.mean(shown), abs=4 * np.std(shown) / 10)
    assert told > 0.01


def test_a_fitted_temperature_undoes_a_scale():
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert fitted_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)


def test_the_area_is_torchmetrics_and_mann_and_whitneys_with_ties_too():
    generator = torch.Generator().manual_seed(4)
    inside = torch.randint(0, 30, (200,), generator=generator).double() + 5
    outside = torch.randint(0, 30, (300,), generator=generator).double()
    area = area_under_roc(inside, outside)
    statistic = mannwhitneyu(inside.numpy(), outside.numpy()).statistic
    assert area == pytest.approx(statistic / (200 * 300))
    scores = torch.cat([inside, outside]) / 40
    is_inside = torch.cat([torch.ones(200), torch.zeros(300)]).long()
    assert area == pytest.approx(binary_auroc(scores, is_inside).item(), abs=1e-6)


def test_the_false_positive_rate_is_the_roc_curves_at_95_per_cent():
    generator = torch.Generator().manual_seed(5)
    inside = torch.rand(2000, generator=generator) * 0.7 + 0.3
    outside = torch.rand(3000, generator=generator)
    false_positives, true_positives, _ = binary_roc(
        torch.cat([inside, outside]), torch.cat([torch.ones(2000), torch.zeros(3000)]).long()
    )
    expected = false_positives[(true_positives - 0.95).abs().argmin()]
    assert false_positive_rate_95(inside, outside) == pytest.approx(expected.item(), abs=0.003)


def test_scores_that_separate_have_area_1_and_no_false_positives():
    inside, outside = torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0])
    assert area_under_roc(inside, outside) == 1
    assert false_positive_rate_95(inside, outside) == 0
    assert not math.isnan(area_under_roc(outside, inside))
