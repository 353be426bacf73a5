"""At least 500 command lines that no one should send: one line, exit code 2, no traceback."""

import contextlib
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regularizer_collection.__main__ import main

NUMBERS = (
    *("model.lambda_jacobian", "model.num_projections", "model.every_n_steps", "model.num_classes"),
    *("data.batch_size", "data.val_size", "data.train_size", "data.test_size", "data.augment"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.precision", "seed_everything"),
    *("evaluation.num_planes", "evaluation.zoom_levels", "evaluation.mode", "evaluation.seed"),
)
WORD = st.text(st.characters(categories=("Ll", "Lu", "Lo")), min_size=2, max_size=20)
WRONG = st.one_of(
    WORD.map(lambda word: f"{word}q"),
    WORD.map(lambda word: f"{{{word}q: 1}}"),
    st.integers(1, 60).map(lambda depth: "[" * depth + "1" + "]" * depth + "x"),
    st.sampled_from(["\N{SNOWMAN}", "nanx", "1e9e9", "[1, two, null]", "{}x", "{a: [b: c", "- -"]),
)
MISSPELT = st.builds(
    lambda key, cut, letters: key[:-cut] + letters,
    st.sampled_from([key for key in NUMBERS if "." in key]),
    st.integers(1, 3),
    st.text("qxz", min_size=1, max_size=6),
)
# A number where it does not belong: each of these is a value that no run could use.
OUT_OF_RANGE = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                *("model.num_projections", "model.every_n_steps", "data.batch_size"),
                *("evaluation.num_planes", "evaluation.resolution", "data.train_size"),
            ]
        ),
        st.integers(-(10**30), -2),
    ),
    st.tuples(st.just("model.lambda_jacobian"), st.sampled_from(["-1e300", "-inf", "nan", -0.5])),
    st.tuples(st.just("model.backbone.dropout"), st.sampled_from(["nan", "inf", 1.5, -1e-9])),
    st.tuples(st.just("evaluation.zoom_levels"), st.sampled_from(["[0]", "[nan]", "[inf]", "[]"])),
    st.tuples(st.just("data.val_size"), st.integers(10**6, 10**40)),
)
KINDS = {
    "wrong value": (st.tuples(st.sampled_from(NUMBERS), WRONG), 220),
    "misspelt key": (st.tuples(MISSPELT, st.just("1")), 200),
    "out of range": (OUT_OF_RANGE, 80),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_command_line_gets_one_line_that_names_the_key(kind):
    bad, count = KINDS[kind]

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(bad)
    def check(key_and_value):
        nonlocal runs
        key, value = key_and_value
        command = ["fit", "--config", "jacobi.yaml", "--config", "smoke.yaml"]
        command += ["--trainer.fast_dev_run", "true", "--trainer.logger", "false"]
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            code = main([*command, f"--{key}={value}"])
        runs += 1
        lines = [line for line in errors.getvalue().splitlines() if line.startswith("error: ")]
        assert code == 2
        assert len(lines) == 1
        assert key.rpartition(".")[2] in lines[0]
        assert "Traceback" not in errors.getvalue()

    runs = 0
    check()
    assert runs >= count
