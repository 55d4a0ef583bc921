"""What was corrected: the fewest edits that make one string of digits another."""

from collections.abc import Iterator

Edit = tuple[str, str]  # a digit and what it became; "" where there was none, or is none


def edits(was: str, now: str) -> Iterator[Edit]:
    """Yield the edits of a shortest way from one string to another, from the right.

    Where several are as short, the one that replaces digits instead of moving them.
    """
    rows = [list(range(len(now) + 1))]  # rows[i][j]: edits from was[:i] to now[:j]
    for i, one in enumerate(was, 1):
        above, row = rows[-1], [i]
        for j, other in enumerate(now, 1):
            row.append(min(above[j - 1] + (one != other), above[j] + 1, row[j - 1] + 1))
        rows.append(row)
    i, j = len(was), len(now)
    while i or j:
        if i and j and rows[i][j] == rows[i - 1][j - 1] + (was[i - 1] != now[j - 1]):
            i, j = i - 1, j - 1
            if was[i] != now[j]:
                yield was[i], now[j]
        elif i and rows[i][j] == rows[i - 1][j] + 1:
            i -= 1
            yield was[i], ""
        else:
            j -= 1
            yield "", now[j]


def in_words(edit: Edit) -> str:
    """Return an edit as people read it."""
    was, now = edit
    if not was:
        return f"missed {now}"
    return f"{was} → {now}" if now else f"no {was}"
