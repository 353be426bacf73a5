import yaml

from regularizer_collection.runtime.config_to_repeat import config_to_repeat


def test_a_run_that_is_made_again_goes_on_from_nothing():
    dumped = "seed_everything: 0\nckpt_path: last\ntrainer:\n  max_epochs: 3\n"
    assert yaml.safe_load(config_to_repeat(dumped)) == {
        "seed_everything": 0,
        "ckpt_path": None,
        "trainer": {"max_epochs": 3},
    }


def test_what_cannot_be_written_is_left_to_its_default():
    dumped = """
trainer:
  callbacks:
  - class_path: SWA
    init_args:
      lrs: 1.0e-05
      device: Unable to serialize instance cpu
      others: [1, Unable to serialize instance x]
"""
    (callback,) = yaml.safe_load(config_to_repeat(dumped))["trainer"]["callbacks"]
    assert callback == {"class_path": "SWA", "init_args": {"lrs": 1e-05, "others": [1]}}


def test_names_stay_readable():
    assert "variant: größe" in config_to_repeat("variant: größe\n")
