import math

import pytest
import torch
from torch.distributions import Categorical

from regularizer_collection.regularizers import ConfidencePenalty, Step

LOGITS = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def term(logits, *args):
    return ConfidencePenalty(*args).penalty(logits, None, None, Step(None, 5))


def test_it_rewards_the_entropy_of_the_predictions():
    entropy = Categorical(logits=LOGITS).entropy()
    torch.testing.assert_close(term(LOGITS, 0.3), -0.3 * entropy.mean())


def test_its_gradient_is_p_times_log_p_plus_entropy():
    logits = LOGITS.clone().requires_grad_()
    term(logits, 0.3).backward()
    p = LOGITS.softmax(1)
    entropy = Categorical(logits=LOGITS).entropy()[:, None]
    torch.testing.assert_close(logits.grad, 0.3 * p * (p.log() + entropy) / 6)


def test_with_a_threshold_only_what_is_missing_counts():
    entropy = Categorical(logits=LOGITS).entropy()
    threshold = entropy.median().item()
    expected = 0.3 * (threshold - entropy).clamp(min=0).mean()
    torch.testing.assert_close(term(LOGITS, 0.3, threshold), expected)
    assert term(LOGITS, 0.3, 0.0) == 0


def test_certain_predictions_have_no_entropy_and_stay_finite():
    assert term(torch.tensor([[1e4, 0.0]]), 1.0) == 0
    assert term(torch.zeros(1, 2), 1.0).item() == pytest.approx(-math.log(2))


def test_the_entropy_of_16_bit_logits_is_computed_in_32_bits():
    logits = (10 * LOGITS).bfloat16()
    entropy = Categorical(logits=logits.double()).entropy()
    torch.testing.assert_close(term(logits, 1.0), -entropy.mean().float())


def test_refuses_a_negative_threshold():
    with pytest.raises(ValueError, match="threshold is -1; give 0 or more"):
        ConfidencePenalty(0.1, -1)
