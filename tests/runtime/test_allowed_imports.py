import pytest

from regularizer_collection.runtime.allowed_imports import check_imports


@pytest.mark.parametrize(
    "args",
    [
        ("--data", "subprocess.Popen"),
        ("--data=subprocess.Popen",),
        ("--trainer.callbacks", '{"class_path": "subprocess.Popen"}'),
        ("--trainer.callbacks+=subprocess.Popen",),
        ("--model", '{"init_args": {"backbone": {"class_path": "subprocess.Popen"}}}'),
        ("--model", "__main__.Model"),
    ],
)
def test_a_class_of_another_package_is_refused_wherever_it_stands(args):
    with pytest.raises(ValueError, match=r"is not among the packages .* give --allow_imports"):
        check_imports(args)


def test_a_config_file_is_read(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("trainer:\n  callbacks:\n  - class_path: subprocess.Popen\n")
    with pytest.raises(ValueError, match=r"mine.yaml: trainer: callbacks: class_path names subp"):
        check_imports(["--config", str(config)])
    check_imports(["--config", str(config)], allowed=["subprocess"])


@pytest.mark.parametrize(
    "args",
    [
        ("--optimizer", "torch.optim.Adam"),
        ("--model", "lightning_modules.SVBClassifier"),
        ("--trainer.callbacks", "pytorch_lightning.callbacks.EarlyStopping"),
        ("--ckpt_path", "last.ckpt"),
        ("--data.data_dir", "../data.old/cifar"),
        ("--model.optimizer.lr", "0.1"),
        ("--variant", "not: [valid: yaml"),
    ],
)
def test_what_names_no_other_package_passes(args):
    check_imports(args)


def test_importing_is_never_needed_to_refuse(tmp_path, monkeypatch):
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"--data names hostile\.Data"):
        check_imports(["--data", "hostile.Data"])
