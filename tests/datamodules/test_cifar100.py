import hashlib
import io
import pickle
import re
import socket
import tarfile
from threading import Event, Thread

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR100

from regularizer_collection.datamodules import CIFAR100DataModule, cifar


def write(folder, split, samples=20, labels=None, protocol=2, **extra):
    rng = np.random.default_rng(0)
    content = {
        b"data": rng.integers(0, 256, (samples, 3072), dtype=np.uint8),
        b"fine_labels": list(range(samples)) if labels is None else labels,
        **extra,
    }
    path = folder / "cifar-100-python" / split
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return content


@pytest.fixture
def copy(tmp_path):
    return {split: write(tmp_path, split) for split in ("train", "test")}


def load(tmp_path, **kwargs):
    data = CIFAR100DataModule(str(tmp_path), verify=False, download=False, **kwargs)
    data.prepare_data()
    data.setup("fit")
    return data


def test_reads_channel_planes_into_pixels(copy, tmp_path):
    images, labels = load(tmp_path).images_and_labels("train")
    naive = copy["train"][b"data"].reshape(20, 3, 32, 32)
    assert images.shape == (20, 32, 32, 3)
    assert images.dtype == torch.uint8
    assert np.array_equal(images.permute(0, 3, 1, 2), naive)
    assert labels.tolist() == list(range(20))


def test_the_20_superclasses_can_be_the_classes(tmp_path):
    for split in ("train", "test"):
        write(tmp_path, split, **{"coarse_labels": [19] * 20})
    data = load(tmp_path, coarse=True)
    assert data.num_classes == 20
    assert data.images_and_labels("train")[1].tolist() == [19] * 20


def test_real_cifar100_has_500_images_of_each_of_5_classes_in_a_superclass(cifar100_dir):
    fine, coarse = (
        load(cifar100_dir, coarse=coarse).images_and_labels("train")[1] for coarse in (False, True)
    )
    assert coarse.bincount().tolist() == [2500] * 20
    assert len((fine * 20 + coarse).unique()) == 100


def test_real_cifar100_has_the_published_mean_and_standard_deviation(cifar100_dir):
    data = load(cifar100_dir)
    images, labels = data.images_and_labels("train")
    assert labels.bincount().tolist() == [500] * 100
    pixels = data.normalize(images[::5]).double()
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3).double(), atol=0.02, rtol=0)
    # The published deviations are those of the images' own means, smaller than the pixels'.
    assert (pixels.std((0, 2, 3)) > 1).all()


def test_missing_data_without_download_says_what_was_searched_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        CIFAR100DataModule(str(tmp_path), download=False).prepare_data()
    message = str(error.value)
    assert str(tmp_path / "cifar-100-python") in message
    assert "no train and no test" in message
    assert "--data.data_dir" in message
    assert "--config demo.yaml" in message


def test_missing_data_without_network_gives_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    with pytest.raises(FileNotFoundError, match=r"the download failed: .*refused"):
        CIFAR100DataModule(str(tmp_path)).prepare_data()


@pytest.fixture
def serve(monkeypatch):
    """Makes a loopback server the official one: it sends an answer, stalls, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = Event()
    threads = []
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/cifar-100-python.tar.gz"
    monkeypatch.setattr(CIFAR100, "url", url)

    def answer_once(answer, stalls):
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(answer)
            over.wait(stalls)

    def serve(answer, stalls=0):
        threads.append(Thread(target=answer_once, args=(answer, stalls), daemon=True))
        threads[-1].start()
        return url

    yield serve
    over.set()
    for thread in threads:
        thread.join()
    listener.close()


def http(body, content_type="application/x-gzip", length=None):
    length = len(body) if length is None else length
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + body


def archive(*members):
    """Packs (name, content), after which attributes of the member may follow."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content, *attributes in members:
            member = tarfile.TarInfo(name)
            for attribute, value in dict(*attributes, size=len(content)).items():
                setattr(member, attribute, value)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


OFFICIAL = (("cifar-100-python/train", b"train"), ("cifar-100-python/test", b"test"))


@pytest.fixture
def serve_as_official(serve, monkeypatch):
    """Serves an archive of given members under its own checksum."""

    def serve_as_official(*members):
        body = archive(*members)
        monkeypatch.setattr(CIFAR100, "tgz_md5", hashlib.md5(body).hexdigest())
        return serve(http(body))

    return serve_as_official


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def failed_download(folder):
    with pytest.raises(FileNotFoundError) as error:
        CIFAR100DataModule(str(folder), verify=False).prepare_data()
    message = str(error.value)
    assert "the download failed: " in message
    assert "--config demo.yaml" in message
    assert len(message.splitlines()) == 1
    return message


def test_a_download_leaves_the_official_files_and_nothing_else(serve_as_official, tmp_path):
    serve_as_official(*OFFICIAL)
    CIFAR100DataModule(str(tmp_path), verify=False).prepare_data()
    assert files(tmp_path) == dict(OFFICIAL)


def test_a_download_replaces_no_file_that_is_there(serve_as_official, tmp_path):
    write(tmp_path, "test")
    before = files(tmp_path)
    serve_as_official(*OFFICIAL)
    CIFAR100DataModule(str(tmp_path), verify=False).prepare_data()
    assert files(tmp_path) == dict(OFFICIAL) | before


def test_a_web_page_is_refused_whatever_verify_says(serve, tmp_path):
    url = serve(http(b"<html>Log in</html>", "text/html"))
    message = failed_download(tmp_path)
    assert "19 bytes of text/html came whose checksum is not the official eb9058c3" in message
    assert url in message
    assert files(tmp_path) == {}


def test_a_download_that_is_cut_off_leaves_nothing(serve, tmp_path, monkeypatch):
    body = archive(*OFFICIAL)
    monkeypatch.setattr(CIFAR100, "tgz_md5", hashlib.md5(body).hexdigest())
    serve(http(body[:-10], length=len(body)))
    failed_download(tmp_path)
    assert files(tmp_path) == {}


def test_a_disk_that_is_full_during_a_download_is_left_empty(serve, small_disk):
    serve(http(bytes(3_000_000)))
    assert "No space left on device" in failed_download(small_disk)
    assert files(small_disk) == {}


@pytest.mark.parametrize("answer", [b"", http(b"half", length=100)], ids=["at once", "later"])
def test_a_server_that_stalls_is_given_up(answer, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "_PATIENCE", 0.1)
    url = serve(answer, stalls=5)
    message = failed_download(tmp_path)
    assert "timed out" in message
    assert url in message
    assert files(tmp_path) == {}


def link(name, kind, target):
    return name, b"", {"type": kind, "linkname": str(target)}


@pytest.mark.parametrize(
    "members",
    [
        lambda outside: [("../../../evil", b"")],
        lambda outside: [link("way", tarfile.SYMTYPE, outside), ("way/evil", b"")],
        lambda outside: [link("way", tarfile.SYMTYPE, "../.."), ("way/../evil", b"")],
        lambda outside: [link("way", tarfile.LNKTYPE, "../../secret")],
        lambda outside: [link("cifar-100-python/train", tarfile.SYMTYPE, outside / "secret")],
    ],
    ids=["path", "absolute link", "relative link", "hard link", "link in place of a file"],
)
def test_an_archive_that_reaches_outside_its_folder_is_refused(
    members, serve_as_official, tmp_path
):
    (tmp_path / "secret").write_bytes(b"secret")
    serve_as_official(*OFFICIAL, *members(tmp_path))
    message = failed_download(tmp_path / "data")
    assert re.search("outside the destination|link to an absolute path", message)
    assert files(tmp_path) == {"secret": b"secret"}


def test_an_absolute_path_in_an_archive_is_not_followed(serve_as_official, tmp_path):
    serve_as_official(*OFFICIAL, (f"{tmp_path}/evil", b""))
    CIFAR100DataModule(str(tmp_path / "data"), verify=False).prepare_data()
    assert files(tmp_path / "data") == dict(OFFICIAL)
    assert not (tmp_path / "evil").exists()


def test_a_copy_with_another_checksum_is_refused_by_default(copy, tmp_path):
    with pytest.raises(ValueError, match=r"not the official checksum .*--data.verify false"):
        CIFAR100DataModule(str(tmp_path), download=False).prepare_data()


@pytest.mark.parametrize(
    "content",
    [archive(*OFFICIAL)[:-40], b"<html>Log in</html>", archive(("other/train", b"train"))],
    ids=["cut off", "a web page", "of another data set"],
)
def test_an_archive_that_cannot_be_unpacked_is_named(content, tmp_path):
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"python.tar.gz cannot be unpacked \(.*; delete it"):
        CIFAR100DataModule(str(tmp_path), verify=False).prepare_data()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [
        "cifar-100-python.tar.gz"
    ]


def test_a_truncated_file_is_named(copy, tmp_path):
    path = tmp_path / "cifar-100-python" / "train"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"train is not a readable data file .*download it again"):
        load(tmp_path)


class Exploit:
    def __reduce__(self):
        return eval, ("open('exploited', 'w')",)


def test_a_tampered_file_cannot_run_code(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "train", **{"batch_label": Exploit()})
    with pytest.raises(ValueError, match=r"eval is not allowed in a data file"):
        load(tmp_path)
    assert not (tmp_path / "exploited").exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_pickles_of_every_age_are_read(tmp_path, protocol):
    for split in ("train", "test"):
        write(tmp_path, split, protocol=protocol, labels=[np.int64(3)] * 20)
    assert load(tmp_path).images_and_labels("train")[1].tolist() == [3] * 20


def test_labels_outside_the_classes_are_refused(copy, tmp_path):
    write(tmp_path, "train", labels=[100] * 20)
    with pytest.raises(ValueError, match="labels 100 to 100 in its train split"):
        load(tmp_path)


def test_another_pickle_is_refused(copy, tmp_path):
    write(tmp_path, "train", labels=[1, 2])
    with pytest.raises(ValueError, match=r"labels of shape \(2,\), not CIFAR-100's"):
        load(tmp_path)
