"""The reliability diagram."""

from collections.abc import Sequence

from matplotlib.figure import Figure


def reliability_figure(confidence: Sequence[float], accuracy: Sequence[float]) -> Figure:
    """Draws accuracy over confidence, in bins of equally many test images.

    Args:
        confidence: Mean probability of the predicted class in each bin.
        accuracy: Share of right predictions in each bin.
    """
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="calibrated")
    axes.plot(confidence, accuracy, marker="o", label="bins of equally many images")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    return figure
