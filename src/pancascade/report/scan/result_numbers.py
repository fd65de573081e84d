"""Numbers of a result that every page tells: volumes, warnings."""

from collections.abc import Sequence

from pancascade.labels import Label
from pancascade.messages.notices import Notice
from pancascade.results.result import Result


def warnings_of(result: Result) -> Sequence[Notice | str]:
    """Return all warnings: notices, then sentences that are in no notice."""
    notices = [notice for notice in result.notices if notice.severity == "warning"]
    reported = {notice.sentence for notice in result.notices}
    return [*notices, *(sentence for sentence in result.warnings if sentence not in reported)]


def organ_ml(result: Result) -> float:
    """Return the volume of the pancreas with its tumours."""
    organ = result.pancreas_and_lesions.organ
    return organ.volume_ml if organ is not None else _volume(result, "pancreas_with_tumour")


def tumour_ml(result: Result) -> float:
    """Return the volume of all that is marked as tumour."""
    if Label.TUMOUR.title in result.measurements:
        return _volume(result, Label.TUMOUR.title)
    return sum(lesion.volume_ml for lesion in result.pancreas_and_lesions.lesions)


def _volume(result: Result, name: str) -> float:
    volume = result.measurements.get(name, {}).get("volume_ml", 0.0)
    return float(volume) if isinstance(volume, int | float) and abs(volume) < 1e9 else 0.0
