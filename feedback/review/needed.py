"""How sure counts make one: how many corrections the gate needs, intervals of shares, and shares compared."""

import math

REMOVED = 0.3
"""The challenger that must not be missed removes this share of a kind's mistakes."""
POWER = 0.8
_MOST = 10_000
_Z = 1.96


def chance(corrections: int, level: float, *, removed: float = REMOVED) -> float:
    """How likely a challenger that removes a share of the mistakes passes a sign test at a level.

    What it takes is as many newly right pictures, against none newly wrong, as chance gives less often than `level`.
    """
    wanted = math.floor(math.log2(1 / level)) + 1
    fewer = sum(
        math.exp(_log_binomial(corrections, won) + won * math.log(removed) + (corrections - won) * math.log1p(-removed))
        for won in range(min(wanted, corrections + 1))
    )
    return max(0.0, 1 - fewer)


def corrections_needed(level: float, *, removed: float = REMOVED, power: float = POWER) -> int:
    """How many corrections make that chance at least `power`."""
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle, level, removed=removed) >= power else (middle + 1, high)
    return low


def sign_test(won: int, lost: int) -> float:
    """One-sided: how likely so many wins are among both if each is as likely as a loss."""
    n = won + lost
    return min(1.0, sum(math.exp(_log_binomial(n, k) - n * math.log(2)) for k in range(won, n + 1)))


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def wilson(wrong: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927); from 0 to 1 if there is nothing to count."""
    if not n:
        return 0.0, 1.0
    share, z = wrong / n, _Z
    centre, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def fisher(some: int, n: int, others: int, m: int) -> float:
    """Fisher's exact test, one-sided: how likely so large a share of n is if it were that of m; 1 if either is 0."""
    if not n or not m:
        return 1.0
    total = some + others
    ways = _log_binomial(n + m, total)
    chances = (
        math.exp(_log_binomial(n, k) + _log_binomial(m, total - k) - ways)
        for k in range(some, min(n, total) + 1)
        if total - k <= m
    )
    return min(1.0, sum(chances))
