import pytest

from regularizer_collection.functional.gradient_masking import masking_signs

HONEST = {
    "fgsm": {1 / 255: 0.3, 2 / 255: 0.2},
    "pgd": {1 / 255: 0.25, 2 / 255: 0.1},
    "by_steps": [0.5, 0.4, 0.3, 0.1, 0.0],
    "longer": 0.25,
    "shorter": 0.25,
    "blind": 0.4,
    "unlimited": 0.0,
    "noise": {1 / 255: 0.5, 2 / 255: 0.49},
    "zero_gradients": 0.0,
    "num_images": 1000,
}


def test_an_honest_network_shows_no_sign():
    assert masking_signs(**HONEST) == []


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        (
            {"fgsm": {1 / 255: 0.2}},
            "one step is stronger than many at eps 1/255: 20.0 % against 25.0 %",
        ),
        ({"noise": {2 / 255: 0.05}}, "random signs are stronger than PGD at eps 2/255"),
        ({"pgd": {1 / 255: 0.1, 2 / 255: 0.2}}, "accuracy under PGD rises with eps"),
        ({"by_steps": [0.5, 0.3, 0.4]}, "rises with the number of steps"),
        ({"longer": 0.2}, "five times the steps lower accuracy from 25.0 % to 20.0 %"),
        ({"blind": 0.2}, "without gradients is stronger than PGD: 20.0 % against 25.0 %"),
        ({"unlimited": 0.05}, "accuracy at eps 64/255 is 5.0 %, not 0"),
        ({"zero_gradients": 0.3}, "30.0 % of the gradients are zero"),
    ],
)
def test_each_sign_is_named_with_its_numbers(change, sign):
    signs = masking_signs(**(HONEST | change))
    assert len(signs) == 1
    assert sign in signs[0]


def test_on_a_few_images_two_of_them_mean_nothing():
    few = {"longer": 0.0, "unlimited": 0.25, "zero_gradients": 0.25, "num_images": 4}
    assert masking_signs(**(HONEST | few)) == []


def test_differences_below_a_point_mean_nothing():
    assert masking_signs(**(HONEST | {"longer": 0.242, "fgsm": {1 / 255: 0.245}})) == []
