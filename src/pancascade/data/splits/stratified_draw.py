"""A seeded draw of patients into parts of given sizes, each stratum spread evenly, groups kept together."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from random import Random

Table = list[list[Fraction]]
Cell = tuple[int, int]


def sizes_of(shares: Sequence[float], count: int) -> list[int]:
    """Whole sizes in the proportion of the shares, adding up to the count.

    What the shares leave over goes to the largest remainders. A part that has a share gets at least one if there are
    as many as parts.

    Args:
        shares: Of each part; 0 leaves it empty.
        count: What is shared out.
    """
    exact = [Fraction(share) * count / sum(map(Fraction, shares)) for share in shares]
    sizes = [math.floor(size) for size in exact]
    order = sorted(range(len(sizes)), key=lambda part: (sizes[part] - exact[part], part))
    for part in order[: count - sum(sizes)]:
        sizes[part] += 1
    wanted = [part for part, share in enumerate(shares) if share > 0]
    if count >= len(wanted):
        for part in wanted:
            if sizes[part] == 0:
                sizes[sizes.index(max(sizes))] -= 1
                sizes[part] = 1
    return sizes


def joined_groups(groups: Iterable[Collection[str]], among: Collection[str]) -> list[list[str]]:
    """Groups of two or more of these names; those that share a name are one.

    Args:
        groups: Names that belong together.
        among: Names that are there; others are left out.
    """
    leader = {name: name for name in among}

    def first(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for group in groups:
        members = sorted(set(group) & leader.keys())
        for name in members[1:]:
            one, other = sorted((first(members[0]), first(name)))
            leader[other] = one
    found: dict[str, list[str]] = {}
    for name in sorted(leader):
        found.setdefault(first(name), []).append(name)
    return [group for group in found.values() if len(group) > 1]


def deal_patients(
    strata: Mapping[str, str],
    sizes: Sequence[int],
    *,
    seed: int,
    groups: Iterable[Collection[str]] = (),
) -> list[list[str]]:
    """Deal patients into parts; the same patients and seed give the same parts, whatever their order.

    The sizes are exact, and of each stratum a part gets its share rounded up or down. Groups are dealt first, whole,
    into parts that have room for them; the shares are then those of the patients that are left. A group that fits
    nowhere goes where most room is, and the sizes differ by what it takes.

    Args:
        strata: Stratum of each patient.
        sizes: Of the parts; they add up to the number of patients.
        seed: Of the draw.
        groups: Patients that stay together, whatever their strata.

    Raises:
        ValueError: The sizes do not add up to the number of patients.
    """
    if sum(sizes) != len(strata):
        raise ValueError(f"parts of {', '.join(map(str, sizes))} need {sum(sizes)} patients, got {len(strata)}")
    random = Random(seed)
    parts: list[list[str]] = [[] for _ in sizes]
    room = list(sizes)
    single = set(strata)
    for group in sorted(joined_groups(groups, strata), key=lambda group: (-len(group), group)):
        part = _part_with_room(room, len(group), random)
        parts[part] += group
        room[part] -= len(group)
        single -= set(group)
    _settle(room)
    members = {stratum: sorted(n for n in single if strata[n] == stratum) for stratum in sorted(set(strata.values()))}
    table = rounded_table([len(names) for names in members.values()], room, random)
    for names, counts in zip(members.values(), table, strict=True):
        random.shuffle(names)
        for part, count in enumerate(counts):
            parts[part] += names[:count]
            del names[:count]
    return [sorted(part) for part in parts]


def rounded_table(rows: Sequence[int], columns: Sequence[int], random: Random) -> list[list[int]]:
    """Whole numbers with these sums, each rows × columns / total rounded up or down, without bias.

    Args:
        rows: Sum of each row.
        columns: Sum of each column; both add up to the same total.
        random: Decides which are rounded up.

    Source: Cox 1987, J. Am. Stat. Assoc. 82, controlled rounding along cycles of the entries that are not whole.
    """
    total = sum(rows)
    table = [[Fraction(row * column, total) if total else Fraction(0) for column in columns] for row in rows]
    while cycle := _cycle_of_fractions(table):
        rising, falling = cycle[::2], cycle[1::2]
        step, back = _least_step(table, rising, falling), _least_step(table, falling, rising)
        # Chances are inverse to the steps, so that no entry rises or falls in the mean.
        if random.random() * float(step + back) >= float(back):
            rising, falling, step = falling, rising, back
        for i, j in rising:
            table[i][j] += step
        for i, j in falling:
            table[i][j] -= step
    return [[int(entry) for entry in row] for row in table]


def _least_step(table: Table, rising: Sequence[Cell], falling: Sequence[Cell]) -> Fraction:
    up = [math.ceil(table[i][j]) - table[i][j] for i, j in rising]
    down = [table[i][j] - math.floor(table[i][j]) for i, j in falling]
    return min(up + down)


def _cycle_of_fractions(table: Table) -> list[Cell]:
    """Cells that are not whole, each sharing its row with one neighbour and its column with the other."""
    broken = [(i, j) for i, row in enumerate(table) for j, entry in enumerate(row) if entry.denominator != 1]
    if not broken:
        return []
    # Sums are whole, so a line that has one broken cell has another: the walk can go on until it meets itself.
    path = [broken[0]]
    seen = {("row", broken[0][0]): 0}
    along = "column"
    while True:
        i, j = path[-1]
        line = (along, j if along == "column" else i)
        if line in seen:
            return path[seen[line] :]
        seen[line] = len(path)
        path.append(next(cell for cell in broken if cell != (i, j) and cell[1 if along == "column" else 0] == line[1]))
        along = "row" if along == "column" else "column"


def _part_with_room(room: Sequence[int], size: int, random: Random) -> int:
    fitting = [part for part, free in enumerate(room) if free >= size]
    if not fitting:
        return room.index(max(room))
    return random.choices(fitting, [room[part] for part in fitting])[0]


def _settle(room: list[int]) -> None:
    """Take what a group overdrew in its part from the part with most room."""
    while min(room) < 0:
        room[room.index(max(room))] -= 1
        room[room.index(min(room))] += 1
