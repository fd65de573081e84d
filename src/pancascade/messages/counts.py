"""Numbers of things in words."""


def counted(number: int, thing: str) -> str:
    """Return a number with its noun: "1 slice", "3 slices".

    Args:
        number: How many.
        thing: The noun in the singular, whose plural ends in s.
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
