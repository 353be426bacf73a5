"""The dashboards in a real browser."""

import json
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest

from regularizer_collection.__main__ import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    command = ["fit", "--config", "svb.yaml", "--config", "smoke.yaml"]
    command += ["--trainer.log_every_n_steps", "1"]
    assert main([*command, "--trainer.default_root_dir", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def tensorboard(runs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs)]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--host", "127.0.0.1", "--load_fast", "false"],
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_loaded(address)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_until_loaded(address):
    for _ in range(120):
        try:
            if any("test/accuracy" in tags for tags in get(address, "scalars/tags").values()):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"{address} shows no test accuracy after a minute")


def get(address, path):
    with urlopen(f"{address}/data/plugin/{path}") as answer:
        return json.load(answer)


def test_every_page_has_its_data(tensorboard):
    scalars = {tag for tags in get(tensorboard, "scalars/tags").values() for tag in tags}
    assert {"train/loss", "test/accuracy", "test/tv_isotropic/zoom_0.01", "lr"} <= scalars
    assert {"jacobian/norm", "svb/sigma_max", "test_curve/accuracy"} <= scalars
    images = {tag for tags in get(tensorboard, "images/tags").values() for tag in tags}
    assert "test_planes/zoom_0.01" in images
    layout = get(tensorboard, "custom_scalars/layout")
    charts = [chart["title"] for chart in layout["category"][0]["chart"]]
    assert [chart.split(" (")[0] for chart in charts[:3]] == [
        "accuracy",
        "loss",
        "boundary density",
    ]
    assert all(chart.endswith(")") for chart in charts)  # its unit


def test_hyperparameters_stand_beside_real_metrics(runs):
    content = b"".join(path.read_bytes() for path in runs.rglob("events.out.tfevents.*"))
    assert b"_hparams_/session_start_info" in content
    assert b"hp_metric" not in content


TEXT_EVERYWHERE = """
const texts = [];
const visit = node => {
  if (node.shadowRoot) visit(node.shadowRoot);
  if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent);
  node.childNodes.forEach(visit);
};
visit(document.body);
return texts.join(" ");
"""


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("timeseries", {"jacobian", "svb", "train", "test_curve", "test_planes"}),
        ("custom_scalars", {"Overview", "accuracy (share of images)", "loss (nats)"}),
    ],
)
def test_the_page_opens_in_a_browser(page, expected, tensorboard, browser, tmp_path):
    browser.get(f"{tensorboard}/#{page}")
    missing = expected
    for _ in range(60):
        text = browser.execute_script(TEXT_EVERYWHERE)
        missing = {part for part in expected if part not in text}
        if not missing:
            break
        time.sleep(0.5)
    time.sleep(2)
    browser.save_screenshot(str(tmp_path / f"{page}.png"))
    assert not missing
