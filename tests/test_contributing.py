"""What CONTRIBUTING tells its reader to type."""

import re
import shlex
import subprocess
import sys

import pytest

from regularizer_collection.experiments.run import PROJECT

COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(
        r"```bash\n(.*?)```", (PROJECT / "CONTRIBUTING.md").read_text(), re.DOTALL
    )
    for line in block.splitlines()
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_runs(command):
    if command == ["make", "test"]:
        command = ["make", "--dry-run", "test"]  # which runs this
    if command[0] == ".venv/bin/python":
        command = [sys.executable, *command[1:]]
    if "pytest" in command:
        command = [*command, "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_help_names_every_command_of_the_makefile():
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    (phony,) = re.findall(r"^\.PHONY: (bench .*)$", (PROJECT / "Makefile").read_text(), re.M)
    for name in phony.split():
        assert re.search(rf"^{name}\s+\S", done.stdout, re.M), name
