import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage

from regularizer_collection.datamodules import Shapes100DataModule
from tests.preloaded import preloaded as preloaded

DRIVER = shutil.which("chromedriver")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1500,2200",
)
HERE = Path(__file__).parent
CIFAR100 = HERE.parent.parent / "shared" / "cifar100"
CASES = HERE / "cases"
_LONG = ("test_study.py", "test_pairs_of_commands.py", "test_every_module.py")
_WHOLE_RUNS = (*_LONG, "test_page.py", "test_report.py", "test_attacks_against_adv_lib.py")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the numbers that tests expect are a CPU's
# Beside other tests, Ray's workers of niceness 15 would hardly ever run.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112, the name is Ray's


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Iterator[int]:
    """One more than there are cores: some tests wait for processes and timers."""
    return (yield) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with whole runs: a worker that gets a long file last keeps the others waiting."""
    items.sort(key=lambda item: item.path.parent != HERE and item.path.name not in _LONG)


def _is_counted(item: pytest.Item) -> bool:
    path = item.path
    is_whole_run = path.parent in (HERE, CASES) or path.name in _WHOLE_RUNS
    return not is_whole_run or item.get_closest_marker("counted") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Of whole runs coverage counts those marked so: it doubles the time that they take."""
    paused = []
    # In a worker of xdist pytest-cov starts two, and the first goes on where the second stops.
    while not _is_counted(item) and (coverage := Coverage.current()):
        coverage.stop()
        paused.append(coverage)
    try:
        return (yield)
    finally:
        for coverage in reversed(paused):
            coverage.start()


@pytest.fixture
def cifar100_dir() -> Path:
    if not CIFAR100.is_dir():
        pytest.skip(f"no CIFAR-100 at {CIFAR100}")
    return CIFAR100


def fill(folder: Path, free: int = 0) -> Path:
    """Fills the disk of a folder but for some bytes, with one file, which is returned."""
    disk = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(disk.f_bavail * disk.f_bsize - free))
    return filler


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def tiny_data() -> Shapes100DataModule:
    return Shapes100DataModule(train_size=120, test_size=60, batch_size=20)


@pytest.fixture
def make_trainer(tmp_path):
    """Builds a quiet trainer; keyword arguments override."""
    from pytorch_lightning import Trainer

    def make(**overrides):
        quiet = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
            "log_every_n_steps": 1,
            "default_root_dir": tmp_path,
            "accelerator": "cpu",
        }
        return Trainer(**(quiet | overrides))

    return make


@pytest.fixture
def browser():
    if DRIVER is None:
        pytest.skip("no chromedriver on this machine")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in QUIET:
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    # A page is looked through while all cores are busy; the default of half a minute is too short.
    browser.set_script_timeout(300)
    yield browser
    browser.quit()
