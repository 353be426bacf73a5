import subprocess

import pytest

from regularizer_collection.runtime.checkout import changed_files, code_commit


@pytest.fixture
def checkout(tmp_path):
    """A repository with a package."""
    package = tmp_path / "regularizers"
    package.mkdir()
    for path in (package / "__init__.py", package / "mixup.py", tmp_path / "README.md"):
        path.write_text("")
    who = ("-c", "user.name=x", "-c", "user.email=x")
    for args in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "all")):
        subprocess.run(["git", "-C", str(tmp_path), *args], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "is_change", "is_code"),
    [
        ("notes.py", False, False),
        ("regularizers/notes.txt", False, False),
        ("README.md", True, False),
        ("regularizers/mixup.py", True, True),
        ("regularizers/mine.py", True, True),
    ],
)
def test_local_changes_and_new_code_are_told(path, is_change, is_code, checkout):
    (checkout / path).write_text("changed")
    assert code_commit(checkout).endswith("+") == is_change
    assert changed_files(checkout) == ({checkout / path} if is_code else set())


def test_a_checkout_as_it_was_committed_has_no_changes(checkout):
    assert len(code_commit(checkout)) == 12
    assert changed_files(checkout) == set()


def test_of_a_folder_within_a_checkout_git_knows_nothing(checkout):
    assert code_commit(checkout / "regularizers") == "unknown"
    assert changed_files(checkout / "regularizers") == set()
