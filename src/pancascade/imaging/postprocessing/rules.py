"""Conversion of probabilities to labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.labels import Label


def decide(probabilities: NDArray[np.floating[Any]], *, tumour_threshold: float = 0.5) -> NDArray[np.uint8]:
    """Return the label of each pixel: tumour from a threshold on, else pancreas if at least as probable as background.

    With the classes composed of two stages (q_t = P₂, q_p = (1−P₂)P₁, q_b = (1−P₂)(1−P₁)) this is the papers'
    rule: tumour where P₂ ≥ 0.5, else pancreas where P₁ ≥ 0.5.

    Args:
        probabilities: (B, C, *S), C = 2 (background, pancreas) or 3 (and tumour), summing to 1.
        tumour_threshold: Least tumour probability.

    Returns:
        (B, *S), ids of `Label`.
    """
    labels = np.zeros(probabilities[:, 0].shape, np.uint8)
    labels[probabilities[:, 1] >= probabilities[:, 0]] = Label.PANCREAS
    if probabilities.shape[1] > Label.TUMOUR:
        labels[probabilities[:, Label.TUMOUR] >= tumour_threshold] = Label.TUMOUR
    return labels
