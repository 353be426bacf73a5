import subprocess
import sys

import pytest

from regularizer_collection.experiments.run import PROJECT
from regularizer_collection.runtime.run_lock import run_lock

HOLD = """
import sys
from pathlib import Path
from regularizer_collection.runtime.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_refused_by_name(holder, tmp_path):
    message = f"{tmp_path} is in use by process {holder.pid}; wait for it"
    with pytest.raises(ValueError, match=message), run_lock(tmp_path):
        pass


def test_a_killed_process_lets_go(holder, tmp_path):
    holder.kill()
    holder.wait()
    with run_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = r"file/seed_0 cannot be written to \(Not a directory\); give another --trainer"
    with pytest.raises(OSError, match=message), run_lock(tmp_path / "file" / "seed_0"):
        pass


def test_the_same_process_can_take_it_again(tmp_path):
    for _ in range(2):
        with run_lock(tmp_path / "new"):
            pass
