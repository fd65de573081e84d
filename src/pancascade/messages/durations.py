"""Durations in words."""


def spell_duration(seconds: float) -> str:
    """Return a duration in a fitting unit: "40 seconds", "1.7 minutes", "7 hours", "12 days".

    Args:
        seconds: 0 or more.
    """
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return "1 second" if seconds < 1.5 else f"{round(seconds)} seconds"
