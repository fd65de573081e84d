"""Seeded draw of patients into parts of given sizes, with even strata and undivided groups."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from random import Random

Table = list[list[Fraction]]
Cell = tuple[int, int]


def sizes_of(shares: Sequence[float], count: int) -> list[int]:
    """Return integer sizes in the proportion of the shares, whose sum is the count.

    The remainder goes to the largest fractions. Each part with a share gets at least one if the count allows it.

    Args:
        shares: Share of each part; 0 leaves it empty.
        count: Number to distribute.
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
    """Return groups of two or more of these names; groups with a common name are merged.

    Args:
        groups: Groups of names that belong together.
        among: Existing names; others are left out.
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
    """Draw patients into parts; the same patients and seed give the same parts, independent of their order.

    The sizes are exact. Of each stratum a part gets its share, rounded up or down. Groups are drawn first, undivided,
    into parts with enough space; the shares are then those of the remaining patients. A group that fits into no part
    goes to the part with most space, and the sizes change accordingly.

    Args:
        strata: Stratum of each patient.
        sizes: Sizes of the parts; their sum is the number of patients.
        seed: Seed of the draw.
        groups: Patients that stay together, regardless of their strata.

    Raises:
        ValueError: The sum of the sizes is not the number of patients.
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
    """Return integers with these sums, each rows × columns / total rounded up or down, without bias.

    Args:
        rows: Sum of each row.
        columns: Sum of each column; both have the same total.
        random: Random generator that decides which are rounded up.

    Source: Cox 1987, J. Am. Stat. Assoc. 82, controlled rounding along cycles of the fractional entries.
    """
    total = sum(rows)
    table = [[Fraction(row * column, total) if total else Fraction(0) for column in columns] for row in rows]
    while cycle := _cycle_of_fractions(table):
        rising, falling = cycle[::2], cycle[1::2]
        step, back = _least_step(table, rising, falling), _least_step(table, falling, rising)
        # Probabilities are inverse to the steps, so that the mean of each entry does not change.
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
    """Return a cycle of fractional cells; each shares its row with one neighbour and its column with the other."""
    broken = [(i, j) for i, row in enumerate(table) for j, entry in enumerate(row) if entry.denominator != 1]
    if not broken:
        return []
    # Sums are integers, so a line with one fractional cell has another: the walk continues until it meets itself.
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
    """Balance a part overfilled by a group with the parts that have most space."""
    while min(room) < 0:
        room[room.index(max(room))] -= 1
        room[room.index(min(room))] += 1
