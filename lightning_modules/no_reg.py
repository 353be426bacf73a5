"""The variant without a regularizer."""

from regularizer_collection.lightning_modules.classifier import Classifier


class NoRegClassifier(Classifier):
    """Cross-entropy alone: the baseline of every comparison."""
