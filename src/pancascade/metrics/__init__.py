"""Numbers that compare a prediction with its reference."""

from pancascade.metrics.bootstrap import Interval, patient_bootstrap
from pancascade.metrics.overlap import Confusion, confusion

__all__ = ["Confusion", "Interval", "confusion", "patient_bootstrap"]
