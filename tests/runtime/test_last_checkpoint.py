from pytorch_lightning import Callback
from torch import nn

from regularizer_collection.lightning_modules import NoRegClassifier
from regularizer_collection.runtime.history import History, read_history
from regularizer_collection.runtime.last_checkpoint import LastCheckpoint


class HistoryAtCheckpoint(Callback):
    """Reads what a training that was killed right after its checkpoint would have left."""

    def __init__(self, folder):
        self.folder = folder
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:  # a value of some epochs alone
            pl_module.log("of_the_second", 7.0)

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.seen.append(read_history(self.folder))


def test_a_checkpoint_of_an_epoch_comes_after_the_metrics_of_the_epoch(
    tiny_data, make_trainer, tmp_path
):
    reader = HistoryAtCheckpoint(tmp_path)
    trainer = make_trainer(
        max_epochs=3,
        callbacks=[reader, LastCheckpoint(tmp_path, save_on_train_epoch_end=True)],
        logger=History(tmp_path),
        enable_checkpointing=True,
        log_every_n_steps=2,
    )
    trainer.fit(NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))), tiny_data)
    steps = trainer.global_step // 3
    at_end = read_history(tmp_path)
    assert [step for step, _ in at_end["train/accuracy"]] == [
        steps - 1,
        2 * steps - 1,
        3 * steps - 1,
    ]
    assert at_end["of_the_second"] == [[2 * steps - 1, 7.0]]
    for number, history in enumerate(reader.seen, 1):
        assert history["train/accuracy"] == at_end["train/accuracy"][:number]
        assert history.get("of_the_second", []) == at_end["of_the_second"][: number - 1]
    assert reader.seen[-1] == at_end
