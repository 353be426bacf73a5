import subprocess
import sys

from regularizer_collection.experiments.run import PROJECT


def test_a_killed_run_is_the_same_run():
    command = [sys.executable, "-m", "tests.kill_and_resume", "--times", "3"]
    command += ["--model.backbone", "tests.cases.tiny.TinyNet", "--allow_imports", "tests"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same after") == 3
    assert done.stdout.count("at the first checkpoint") == 2
