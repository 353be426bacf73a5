import pytest

from regularizer_collection.experiments.marked_part import replace_part, rewrite_part

TEXT = "# Title\n<!-- a: begin -->\nold\n<!-- a: end -->\nend\n"
NEW = TEXT.replace("old", "new\nlines")


def test_what_stands_between_the_markers_is_replaced():
    assert replace_part(TEXT, "a", "new\nlines") == NEW


@pytest.mark.parametrize("text", ["", "<!-- a: begin -->", TEXT.replace("a:", "b:")])
def test_missing_markers_are_named(text):
    with pytest.raises(ValueError, match="the readme has no <!-- a: begin -->"):
        replace_part(text, "a", "new")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_keeps_its_line_endings(ending, tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(TEXT.replace("\n", ending).encode())
    rewrite_part(path, "a", "new\nlines")
    assert path.read_bytes() == NEW.replace("\n", ending).encode()


def test_nothing_else_of_the_file_changes_nor_one_beside_it(tmp_path):
    path, beside = tmp_path / "notes.md", tmp_path / "notes.tmp"
    path.write_bytes(b"one stray\r\n" + TEXT.encode())
    path.chmod(0o600)
    beside.write_text("a user's")
    rewrite_part(path, "a", "new\nlines")
    assert path.read_bytes() == b"one stray\r\n" + NEW.encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert beside.read_text() == "a user's"


def test_a_link_stays_one(tmp_path):
    path, link = tmp_path / "notes.md", tmp_path / "link.md"
    path.write_text(TEXT)
    link.symlink_to(path)
    rewrite_part(link, "a", "new\nlines")
    assert link.is_symlink()
    assert path.read_text() == NEW


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "notes.md"
    path.write_text(TEXT)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        rewrite_part(path, "a", "new")
    assert path.read_text() == TEXT
