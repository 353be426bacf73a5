import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.functional.pixels import PixelSpace
from regularizer_collection.regularizers import (
    Curvature,
    ElasticNet,
    InputGradient,
    InputNoise,
    JacobianPenalty,
    Penalty,
    Regularizer,
    Step,
    VirtualAdversarial,
    penalty_gradient_ratio,
    regularized_loss,
)
from tests.regularizers.conftest import batch as double_batch
from tests.regularizers.conftest import linear


class Recording(Regularizer):
    """Writes down which of its methods is called."""

    def __init__(self, label, calls):
        super().__init__()
        self.label, self.calls = label, calls

    def transform(self, images, targets, step):
        self.calls.append(f"transform {self.label}")
        return images, targets

    def penalty(self, logits, images, targets, step):
        self.calls.append(f"penalty {self.label}")

    def wrap(self, loss, step):
        def wrapped():
            self.calls.append(f"enter {self.label}")
            return loss()

        return wrapped


class SmoothTargets(Regularizer):
    def transform(self, images, targets, step):
        return images, step.probabilities(targets) * 0.9 + 0.1 / step.num_classes


class MeanLogit(Penalty):
    def value(self, logits, images, targets, step):
        return logits.mean()


class Loss(MeanLogit):
    pass


class MeanLogit_2(MeanLogit):  # noqa: N801
    pass


class ImageGradient(Regularizer):
    def needs_image_gradient(self, step):
        return True

    def penalty(self, logits, images, targets, step):
        return torch.autograd.grad(logits.sum(), images, create_graph=True)[0].square().sum()


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5))


@pytest.fixture
def batch():
    return torch.randn(6, 3, 2, 2), torch.arange(6) % 5


def test_without_regularizers_it_is_cross_entropy(backbone, batch):
    images, labels = batch
    terms = regularized_loss(backbone, [], images, labels, Step(backbone, 5))
    assert torch.equal(terms.total, F.cross_entropy(backbone(images), labels))
    assert terms.penalties == {}
    assert torch.equal(terms.targets, labels)


def test_the_order_of_the_list_is_the_order_of_the_calls(backbone, batch):
    calls = []
    both = [Recording("a", calls), Recording("b", calls)]
    regularized_loss(backbone, both, *batch, Step(backbone, 5))
    assert calls == [
        *("transform a", "transform b"),
        *("enter a", "enter b"),
        *("penalty a", "penalty b"),
    ]


def test_the_loss_is_the_sum_of_its_terms_and_a_twin_is_named_second(backbone, batch):
    penalties = [MeanLogit(2.0), MeanLogit(3.0)]
    terms = regularized_loss(backbone, penalties, *batch, Step(backbone, 5))
    mean = backbone(batch[0]).mean()
    torch.testing.assert_close(terms.penalties, {"mean_logit": 2 * mean, "mean_logit_2": 3 * mean})
    torch.testing.assert_close(terms.total, terms.cross_entropy + 5 * mean)


def test_mixed_targets_reach_the_cross_entropy(backbone, batch):
    images, labels = batch
    terms = regularized_loss(backbone, [SmoothTargets()], images, labels, Step(backbone, 5))
    expected = F.cross_entropy(backbone(images), labels, label_smoothing=0.1)
    torch.testing.assert_close(terms.total, expected)


def test_images_require_a_gradient_only_where_asked_for_and_the_callers_never(backbone, batch):
    seen = []
    backbone.register_forward_hook(lambda module, args, output: seen.append(args[0].requires_grad))
    regularized_loss(backbone, [MeanLogit(1.0)], *batch, Step(backbone, 5))
    terms = regularized_loss(backbone, [ImageGradient()], *batch, Step(backbone, 5))
    assert seen == [False, True]
    assert not batch[0].requires_grad
    summed = backbone[1].weight.sum(0).square().sum()
    torch.testing.assert_close(terms.penalties["image_gradient"], 6 * summed)


def test_what_is_logged_was_seen_at_the_present_weights(backbone, batch):
    class Twice(Regularizer):
        def wrap(self, loss, step):
            return lambda: 0 * loss() + 2 * loss()

    terms = regularized_loss(backbone, [Twice()], *batch, Step(backbone, 5))
    torch.testing.assert_close(terms.total, 2 * terms.cross_entropy)


def test_the_gradient_ratio_is_that_of_penalties_and_cross_entropy():
    network = linear()
    images, labels = torch.randn(6, 3, 4, 4, dtype=torch.float64), torch.arange(6) % 5
    terms = regularized_loss(network, [ElasticNet(0.3)], images, labels, Step(network, 5))
    ratio = penalty_gradient_ratio(terms, network.parameters())
    terms.total.backward()  # its graph is still there
    penalty = 0.3 * network[1].weight.detach().sign()
    loss = [network[1].weight.grad - penalty, network[1].bias.grad]
    expected = penalty.norm() / torch.cat([gradient.flatten() for gradient in loss]).norm()
    torch.testing.assert_close(ratio, expected)


def test_two_classes_of_one_name_both_count(backbone, batch):
    images, labels = batch
    other = type("MeanLogit", (Penalty,), {"value": lambda self, logits, *_: logits.sum()})
    terms = regularized_loss(
        backbone, [MeanLogit(1.0), other(1.0)], images, labels, Step(backbone, 5)
    )
    assert list(terms.penalties) == ["mean_logit", "mean_logit_2"]
    assert terms.penalties["mean_logit_2"].item() == pytest.approx(terms.logits.sum().item())


class Attending(nn.Module):
    """One layer of attention over the pixels of an image."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.embed, self.fc = nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, images):
        pixels = self.embed(images.flatten(2).transpose(1, 2))
        return self.fc(self.attention(pixels, pixels, pixels, need_weights=False)[0].mean(1))


@pytest.mark.parametrize("penalty", [JacobianPenalty(1.0), InputGradient(1.0), Curvature(1.0)])
def test_attention_is_differentiated_twice(penalty, batch):
    images, labels = batch
    torch.manual_seed(0)
    backbone = Attending()
    pixels = PixelSpace((0.0,) * 3, (1.0,) * 3)
    step = Step(backbone, 5, pixels=pixels)
    regularized_loss(backbone, [penalty], images, labels, step).total.backward()
    assert backbone.embed.weight.grad.norm() > 0


class Twice(Regularizer):
    def transform(self, images, targets, step):
        return torch.cat([images, images]), torch.cat([targets, targets])


class EverySecond(Regularizer):
    def transform(self, images, targets, step):
        return images[::2], targets[::2]


@pytest.mark.parametrize("changing", [Twice(), EverySecond()])
def test_the_loss_is_a_mean_over_the_images_trained_on_however_many_a_transform_makes(
    changing, backbone, batch
):
    images, targets = changing.transform(*batch, None)
    terms = regularized_loss(
        backbone, [changing, MeanLogit(1.0)], *batch, Step(backbone, 5, global_size=6)
    )
    expected = F.cross_entropy(backbone(images), targets)
    torch.testing.assert_close(terms.cross_entropy, expected)
    torch.testing.assert_close(terms.penalties["mean_logit"], backbone(images).mean())


@pytest.mark.parametrize("changing", [Twice(), EverySecond()])
def test_a_process_with_more_images_than_others_counts_more_whatever_a_transform_makes_of_them(
    changing, backbone, batch
):
    images, targets = changing.transform(*batch, None)
    step = Step(backbone, 5, rank=0, world_size=2, global_size=11)
    terms = regularized_loss(backbone, [changing], *batch, step)
    expected = 6 / 5.5 * F.cross_entropy(backbone(images), targets)
    torch.testing.assert_close(terms.cross_entropy, expected)


@pytest.mark.parametrize("later", [InputNoise(0.1), JacobianPenalty(1.0), VirtualAdversarial(1.0)])
@pytest.mark.parametrize("changing", [Twice(), EverySecond()])
def test_what_comes_after_a_change_of_their_number_draws_for_the_images_there_are(
    changing, later, backbone, batch
):
    step = Step(backbone, 5, global_size=6)
    terms = regularized_loss(backbone, [changing, later], *batch, step)
    assert len(terms.logits) == len(changing.transform(*batch, None)[0])
    assert terms.total.isfinite()


def test_two_of_one_class_draw_other_numbers():
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    images, labels = torch.zeros(200, 3, 4, 4), torch.zeros(200, dtype=torch.long)
    seen = []

    class Look(Regularizer):
        def transform(self, images, targets, step):
            seen.append(images)
            return images, targets

    noise = [InputNoise(0.05), InputNoise(0.05)]
    regularized_loss(backbone, [noise[0], Look(), noise[1], Look()], images, labels, Step(None, 5))
    once, twice = seen
    assert once.std().item() == pytest.approx(0.05, rel=0.05)
    assert twice.std().item() == pytest.approx(0.05 * 2**0.5, rel=0.05)
    alone = noise[0].transform(images, labels, Step(None, 5))[0]
    assert torch.equal(once, alone)  # the first draws what one alone does


def test_two_penalties_of_one_class_draw_other_projections_and_wrap_knows_its_number():
    network, (images, labels) = linear(), double_batch()
    twins = [JacobianPenalty(1.0), JacobianPenalty(1.0)]
    seen = []

    class Wrapping(Regularizer):
        def wrap(self, loss, step):
            seen.append(step.twin)
            return loss

    regularizers = [*twins, Wrapping(), Wrapping()]
    penalties = regularized_loss(network, regularizers, images, labels, Step(network, 5)).penalties
    assert penalties["jacobian_penalty"] != penalties["jacobian_penalty_2"]
    alone = regularized_loss(network, twins[:1], images, labels, Step(network, 5)).penalties
    assert penalties["jacobian_penalty"] == alone["jacobian_penalty"]
    assert sorted(seen) == [0, 1]


def loss_of(*regularizers):
    images, labels = double_batch()
    return regularized_loss(linear(), regularizers, images, labels, Step(linear(), 10))


def test_no_term_takes_the_name_of_another_or_of_what_is_logged():
    terms = loss_of(MeanLogit(1.0), MeanLogit(1.0), MeanLogit_2(1.0), Loss(1.0))
    assert list(terms.penalties) == ["mean_logit", "mean_logit_2", "mean_logit_2_2", "loss_2"]
    expected = terms.cross_entropy + 4 * terms.penalties["mean_logit"]
    torch.testing.assert_close(terms.total, expected)


class Wrong(Regularizer):
    """Does one thing as nobody should."""

    def __init__(self, **wrong):
        super().__init__()
        self.wrong = wrong

    def transform(self, images, targets, step):
        return self.wrong.get("transform", (images, targets))

    def penalty(self, logits, images, targets, step):
        return self.wrong.get("penalty")

    def wrap(self, loss, step):
        return self.wrong.get("wrap", loss)


@pytest.mark.parametrize(
    ("method", "returned", "said"),
    [
        ("transform", torch.ones(2), r"transform of Wrong returned a tensor of shape \[2\]"),
        ("transform", (torch.ones(2), None), "transform of Wrong returned 2 values; return images"),
        ("penalty", torch.ones(2), r"penalty of Wrong is a tensor of shape \[2\]; return a tensor"),
        ("penalty", 0.5, "penalty of Wrong is a float; return a tensor of one number"),
        (
            "wrap",
            torch.ones(()),
            r"wrap of Wrong returned a tensor of shape \[\]; return a function",
        ),
        ("wrap", lambda: torch.ones(()), "wrap of a regularizer never called the loss"),
    ],
)
def test_what_a_regularizer_should_not_return_is_refused_by_its_name(method, returned, said):
    with pytest.raises(ValueError, match=said):
        loss_of(Wrong(**{method: returned}))


def test_a_penalty_without_a_gradient_is_told():
    with pytest.warns(UserWarning, match="penalty of Wrong has no gradient"):
        loss_of(Wrong(penalty=torch.ones(())))
