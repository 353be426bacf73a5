"""The wheel, in a folder of its own and without the checkout."""

import os
import subprocess
import sys
import zipfile

import pytest

from regularizer_collection.experiments.run import PROJECT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder on which the built wheel was unpacked, as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", str(folder), str(PROJECT)),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(installed, *args):
    """Runs python where the wheel is found and the checkout is not; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", *args]
    done = subprocess.run(
        command, env=environment, cwd=installed.parent, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_one_top_level_name(installed):
    assert {p.name for p in installed.iterdir() if p.suffix != ".dist-info"} == {
        "regularizer_collection"
    }


def test_it_is_what_is_imported_and_knows_the_configs(installed):
    program = (
        "import regularizer_collection as r, regularizer_collection.lightning_modules as m;"
        "from regularizer_collection.runtime.config_files import find_config;"
        "print(r.__file__, m.SVBClassifier.__name__, find_config('svb.yaml'))"
    )
    file, name, config = python(installed, "-c", program).split()
    assert file.startswith(str(installed))
    assert name == "SVBClassifier"
    assert config.startswith(str(installed))


def test_regularizers_and_functional_need_no_lightning(installed):
    program = (
        "import sys, regularizer_collection.regularizers, regularizer_collection.functional;"
        "print(sorted(name for name in sys.modules if name.startswith('pytorch_lightning')))"
    )
    assert python(installed, "-c", program).strip() == "[]"


def test_the_command_runs_a_config_that_is_named_alone(installed):
    config = python(
        installed, "-m", "regularizer_collection", "fit", "--config", "svb.yaml", "--print_config"
    )
    assert "regularizer_collection.lightning_modules.SVBClassifier" in config
