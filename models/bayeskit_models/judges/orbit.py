"""The ends of what equivalent worlds say: a search over the family that no marginal data can tell apart (proposition T3).

A world is candidates ``Pi`` (R, M) and judges ``Theta_c`` (M, M). For an invertible T whose rows sum to one, the worlds
``(Pi T, T^-1 Theta_c)`` give the same verdicts. Where there are fewer rows R than levels M there are more: with ``Pi Z = 0``
and any C whose rows sum to zero, ``(Pi T, T^-1 (Theta_c + Z C_j))``, with a C of its own for each judge j. Of these worlds
those count whose entries are probabilities and, where that is kept, whose judges are monotone. A quantity is linear in Pi T;
its largest and smallest value are found by an interior-point search, all draws, quantities and starts at once.

The search stays inside: what it finds is always attained by some world, so an end can be missed but never overshot. The problem
is not convex (T^-1), hence several starts; `Ends.agreement` says how often the two best of them met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Ends", "Family", "orbit_ends"]

_FLOOR = 1e-10  # share of the uniform distribution mixed in, so that a draw on the edge is a start
_BARRIERS = 10.0 ** -np.arange(1.0, 9.5)  # weights of the logarithmic barrier, one after the other
_NEAR = 1e-3  # largest weight for the starts after the first, which would otherwise all be drawn to one centre
_DONORS = 3  # draws whose farthest worlds are tried for all others
_WALK = 4  # steps of the random walk to a start, for each level
_STEPS = 6  # Newton steps for each of them
_HALVINGS = 14
_CHUNK = 40_000_000  # entries of the largest array at a time
_MET = 0.01  # two starts that end nearer than this (in levels) have met


@dataclass(frozen=True)
class Family:
    """The worlds that are compared: what is moved, and what must stay a probability or in order.

    Attributes
    ----------
    shares : ndarray, shape (S, R, M)
        Draws of the rows of Pi.
    judges : ndarray, shape (S, C, M, M)
        Draws of the matrices that must stay stochastic.
    judge_of : ndarray of int, shape (C,)
        The judge to whom each belongs.
    ordered : ndarray of bool, shape (C,)
        Which of them must stay monotone; a draw that violates this itself may be violated as far.
    """

    shares: np.ndarray
    judges: np.ndarray
    judge_of: np.ndarray
    ordered: np.ndarray

    @property
    def nullity(self) -> int:
        """By how many the rows fall short of the levels."""
        return max(0, self.shares.shape[-1] - self.shares.shape[-2])


@dataclass(frozen=True)
class Ends:
    """Smallest and largest values, shape (S, Q), and the share of these ends at which the two best starts met."""

    lower: np.ndarray
    upper: np.ndarray
    agreement: float


def orbit_ends(family: Family, objective: np.ndarray, *, starts: int = 4, mirrored: bool = False, seed: int = 0) -> Ends:
    """Smallest and largest value of linear functions of Pi over all equivalent worlds.

    Parameters
    ----------
    family : Family
        S draws of the world.
    objective : ndarray, shape (Q, R, M)
        Weights of each quantity on the entries of Pi.
    starts : int
        The draw itself, and worlds reached from it by random walks.
    mirrored : bool
        Start also from worlds with exchanged levels: for judges that need not be monotone.
    seed : int
        Of the random walks.

    Returns
    -------
    Ends
    """
    rng = np.random.default_rng(seed)
    draws, quantities = len(family.shares), len(objective)
    signed = np.concatenate([objective, -objective])  # the smallest value is the largest of the negative
    best = np.empty((draws, len(signed)))
    met = 0
    for part in _chunks(family, len(signed) * (starts + _DONORS)):
        worlds = _Worlds.of(family, part)
        begin = np.stack([_start(worlds, s, mirrored, rng) for s in range(starts)])  # (starts, s, n)
        found, values = _search(worlds, np.repeat(begin[:, :, None], len(signed), axis=2), signed)
        if starts > 1 and len(part) > 1:
            lent, more = _search(worlds, _lend(worlds, found, values), signed)
            found, values = np.concatenate([found, lent]), np.concatenate([values, more])
        order = np.sort(values, axis=0)
        met += int((order[-1] - order[-2] < _MET).sum()) if starts > 1 else 0
        best[part] = order[-1]
    agreement = met / best.size if starts > 1 else float("nan")
    return Ends(-best[:, quantities:], best[:, :quantities], agreement)


def _search(worlds: _Worlds, begin: np.ndarray, signed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Climb from starts (starts, B, Q, n), the first of which comes down from the centre; where they end, and the values."""
    shape = begin.shape[:3]
    index = np.broadcast_to(np.arange(shape[1])[None, :, None], shape).reshape(-1)
    goal = np.broadcast_to(np.arange(shape[2]), shape).reshape(-1)
    cap = np.broadcast_to(np.where(np.arange(shape[0]) == 0, 1.0, _NEAR)[:, None, None], shape).reshape(-1)
    gradient = worlds.slope(signed)[goal, index]
    found = _climb(worlds.take(index), begin.reshape(-1, begin.shape[-1]), gradient, cap).reshape(begin.shape)
    return found, worlds.value(signed, found)


def _lend(worlds: _Worlds, found: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The farthest worlds of some draws as starts for all of them: draws of one posterior are near one another."""
    which = values.argmax(0)  # (B, Q): best start of each draw
    best = np.take_along_axis(found, which[None, ..., None], axis=0)[0]
    order = np.argsort(-values.max(0), axis=0)
    donors = order[np.linspace(0, len(order) // 2, _DONORS).astype(int)]  # (donors, Q)
    given = best[donors, np.arange(best.shape[1])]  # (donors, Q, n)
    begin = np.broadcast_to(given[:, None], (_DONORS, *best.shape)).reshape(-1, best.shape[-1])
    index = np.broadcast_to(np.arange(len(best))[None, :, None], (_DONORS, *best.shape[:2])).reshape(-1)
    return _restore(worlds.take(index), begin).reshape(_DONORS, *best.shape)


def _chunks(family: Family, copies: int) -> list[np.ndarray]:
    """Draws in groups whose Jacobians fit in memory."""
    worlds = _Worlds.of(family, np.arange(1))
    each = worlds.constraints(worlds.identity()).shape[-1] * worlds.size * copies
    draws = len(family.shares)
    return np.array_split(np.arange(draws), max(1, -(-draws * each // _CHUNK)))


@dataclass(frozen=True)
class _Worlds:
    """A batch of worlds and the coordinates x of their families: the first M - 1 columns of T, then those of every C_j."""

    shares: np.ndarray  # (B, R, M)
    judges: np.ndarray  # (B, C, M, M)
    null: np.ndarray  # (B, M, N), with shares @ null = 0
    member: np.ndarray  # (C, J): one-hot
    ordered: np.ndarray
    slack: np.ndarray  # (B,): how far a drop of the cumulative scores may be negative

    @classmethod
    def of(cls, family: Family, part: np.ndarray) -> _Worlds:
        shares = (1.0 - _FLOOR) * family.shares[part] + _FLOOR / family.shares.shape[-1]
        judges = (1.0 - _FLOOR) * family.judges[part] + _FLOOR / family.judges.shape[-1]
        null = np.swapaxes(np.linalg.svd(shares, full_matrices=True)[2], -1, -2)[..., family.shares.shape[-2] :]
        drops = np.diff(_exceedance(judges[:, family.ordered]), axis=-2)
        worst = drops.reshape(len(drops), -1).min(1, initial=0.0)
        member = family.judge_of[:, None] == np.unique(family.judge_of)
        return cls(shares, judges, null, member, family.ordered, np.maximum(-worst, 0.0) * (1.0 + 1e-9) + 1e-9)

    def take(self, index: np.ndarray) -> _Worlds:
        parts = (self.shares[index], self.judges[index], self.null[index], self.member, self.ordered, self.slack[index])
        return _Worlds(*parts)

    @property
    def levels(self) -> int:
        return int(self.shares.shape[-1])

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return (self.levels - 1) * (self.levels + self.null.shape[-1] * self.member.shape[1])

    def identity(self) -> np.ndarray:
        x = np.zeros((len(self.shares), self.size))
        m = self.levels
        x[:, : m * (m - 1)] = np.eye(m)[:, :-1].reshape(-1)
        return x

    def move(self, x: np.ndarray) -> np.ndarray:
        """T, shape (..., M, M)."""
        m = self.levels
        first = x[..., : m * (m - 1)].reshape(*x.shape[:-1], m, m - 1)
        return np.concatenate([first, 1.0 - first.sum(-1, keepdims=True)], axis=-1)

    def _parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pi T, T^-1, and the judges T^-1 (Theta + Z C)."""
        transform, m = self.move(x), self.levels
        inverse = _inverse(transform)
        judges = self.judges
        if self.null.shape[-1]:
            rest = x[:, m * (m - 1) :].reshape(len(x), self.member.shape[1], self.null.shape[-1], m - 1)
            rest = np.concatenate([rest, -rest.sum(-1, keepdims=True)], axis=-1)
            own = np.einsum("cj,bjnl->bcnl", self.member.astype(float), rest)
            judges = judges + np.einsum("bmn,bcnl->bcml", self.null, own)
        return self.shares @ transform, inverse, np.einsum("bmi,bcil->bcml", inverse, judges)

    def constraints(self, x: np.ndarray) -> np.ndarray:
        """Everything that must be positive, shape (B, n); NaN where T has no inverse."""
        shares, _, judges = self._parts(x)
        drops = np.diff(_exceedance(judges[:, self.ordered]), axis=-2) + self.slack[:, None, None, None]
        size = len(x)
        return np.concatenate([shares.reshape(size, -1), judges.reshape(size, -1), drops.reshape(size, -1)], axis=1)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Derivatives of `constraints`, shape (B, n, coordinates)."""
        _, inverse, judges = self._parts(x)
        size, m = len(x), self.levels
        free = np.eye(m)[:, :-1] - np.eye(m)[:, -1:]  # (M, M - 1): d(last entry) = -sum of the others
        shares = np.einsum("bri,lj->brlij", self.shares, free).reshape(size, -1, m * (m - 1))
        # d(T^-1 Y) = -T^-1 dT (T^-1 Y)
        moved = -np.einsum("bmi,bcjl->bcmlij", inverse, np.einsum("bckl,kj->bcjl", judges, free))
        moved = moved.reshape(size, *judges.shape[1:], m * (m - 1))
        if self.null.shape[-1]:
            reach = inverse @ self.null  # (B, M, N)
            inner = np.einsum("cg,bmn,lj->bcmlgnj", self.member.astype(float), reach, free)
            shares = np.concatenate([shares, np.zeros((*shares.shape[:2], self.size - shares.shape[2]))], axis=-1)
            moved = np.concatenate([moved, inner.reshape(*moved.shape[:-1], -1)], axis=-1)
        above = np.cumsum(moved[:, self.ordered, :, ::-1], axis=3)[:, :, :, ::-1][:, :, :, 1:]
        drops = np.diff(above, axis=2)
        return np.concatenate([v.reshape(size, -1, self.size) for v in (shares, moved, drops)], axis=1)

    def feasible(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray((self.constraints(x) > 0).all(-1))

    def slope(self, objective: np.ndarray) -> np.ndarray:
        """Gradient of the quantities, shape (Q, B, coordinates)."""
        weights = np.einsum("bri,qrl->qbil", self.shares, objective)
        out = np.zeros((*weights.shape[:2], self.size))
        m = self.levels
        out[..., : m * (m - 1)] = (weights[..., :-1] - weights[..., -1:]).reshape(*weights.shape[:2], -1)
        return out

    def value(self, objective: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Values of the quantities at x (..., B, Q, coordinates), shape (..., B, Q)."""
        return np.asarray(np.einsum("bri,...bqil,qrl->...bq", self.shares, self.move(x), objective))


def _exceedance(judges: np.ndarray) -> np.ndarray:
    return np.cumsum(judges[..., ::-1], axis=-1)[..., ::-1][..., 1:]


def _inverse(transform: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(np.linalg.inv(transform))
    except np.linalg.LinAlgError:  # one of a batch is singular: find it, and let the others be
        out = np.full_like(transform, np.nan)
        for place in np.ndindex(transform.shape[:-2]):
            try:
                out[place] = np.linalg.inv(transform[place])
            except np.linalg.LinAlgError:
                continue
        return out


@dataclass(frozen=True)
class _Relaxed:
    """The same worlds with one more coordinate, by which every constraint is eased: a way from anywhere to a feasible world."""

    worlds: _Worlds

    @property
    def size(self) -> int:
        return self.worlds.size + 1

    def take(self, index: np.ndarray) -> _Relaxed:
        return _Relaxed(self.worlds.take(index))

    def constraints(self, x: np.ndarray) -> np.ndarray:
        return self.worlds.constraints(x[:, :-1]) + x[:, -1:]

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        inner = self.worlds.jacobian(x[:, :-1])
        return np.concatenate([inner, np.ones((*inner.shape[:2], 1))], axis=-1)


def _start(worlds: _Worlds, number: int, mirrored: bool, rng: np.random.Generator) -> np.ndarray:
    """A feasible start: the draw itself, the end of a random walk from it, or a feasible world near a random one."""
    if number == 0:
        return worlds.identity()
    if number == 1 and mirrored:
        x, m = worlds.identity(), worlds.levels
        x[:, : m * (m - 1)] = np.eye(m)[::-1, :-1].reshape(-1)
        return x
    if number % 2 and not mirrored:
        return _walk(worlds, rng)
    return _elsewhere(worlds, mirrored, rng)


def _elsewhere(worlds: _Worlds, mirrored: bool, rng: np.random.Generator) -> np.ndarray:
    """A world near a random one, whatever lies between it and the draw; the draw itself where the way leads nowhere.

    Worlds that satisfy all constraints may fall into pieces: det Theta of a monotone judge of three levels can be negative,
    and no walk through judges with det 0 leads there.
    """
    x, m = worlds.identity(), worlds.levels
    far = x + rng.normal(scale=0.3, size=x.shape)
    if mirrored:
        move = np.stack([np.eye(m)[rng.permutation(m)] for _ in range(len(x))])
    else:
        move = _inverse(np.eye(m) + rng.normal(scale=0.7, size=(len(x), m, m)))
        move /= move.sum(-1, keepdims=True)
    far[:, : m * (m - 1)] = move[..., :-1].reshape(len(x), -1)
    return _restore(worlds, far)


def _restore(worlds: _Worlds, far: np.ndarray) -> np.ndarray:
    """A feasible world near a given one, or the draw itself where the way leads nowhere."""
    x = worlds.identity()
    ease = 0.1 - worlds.constraints(far).min(1)
    good = np.isfinite(ease) & (ease < 100.0)
    far, ease = np.where(good[:, None], far, x), np.where(good, ease, 0.2)
    goal = np.zeros((len(x), worlds.size + 1))
    goal[:, -1] = -1.0
    relaxed = _climb(_Relaxed(worlds), np.column_stack([far, ease]), goal, np.ones(len(x)), _BARRIERS[:4])[:, :-1]
    return np.where(worlds.feasible(relaxed)[:, None], relaxed, x)


def _walk(worlds: _Worlds, rng: np.random.Generator) -> np.ndarray:
    """The end of a random walk from the draw."""
    x, m = worlds.identity(), worlds.levels
    for _ in range(_WALK * m):
        direction = rng.normal(size=x.shape)
        length = np.full(len(x), 2.0)
        for _ in range(12):
            inside = worlds.feasible(x + length[:, None] * direction)
            if inside.all():
                break
            length = np.where(inside, length, 0.5 * length)
        tried = x + (rng.uniform(0.3, 0.95, len(x)) * length)[:, None] * direction
        x = np.where((inside & worlds.feasible(tried))[:, None], tried, x)  # not convex: a point half way may be outside
    return x


def _climb(
    worlds: _Worlds | _Relaxed, x: np.ndarray, gradient: np.ndarray, cap: np.ndarray, barriers: np.ndarray = _BARRIERS
) -> np.ndarray:
    """Maximise gradient . x inside all constraints, by a logarithmic barrier whose weight goes to zero."""
    ridge = 1e-9 * np.eye(worlds.size)
    for barrier in barriers:
        weight = np.minimum(barrier, cap)
        for _ in range(_STEPS):
            values, jacobian = worlds.constraints(x), worlds.jacobian(x)
            scaled = jacobian / values[..., None]
            curvature = weight[:, None, None] * (np.swapaxes(scaled, -1, -2) @ scaled)
            uphill = gradient + weight[:, None] * scaled.sum(1)
            size = np.einsum("bii->b", curvature)[:, None, None] / worlds.size
            step = np.linalg.solve(curvature + ridge * size, uphill[..., None])[..., 0]
            x = _advance(worlds, x, values, scaled, step, gradient, weight)
    return x


def _advance(
    worlds: _Worlds | _Relaxed,
    x: np.ndarray,
    values: np.ndarray,
    scaled: np.ndarray,
    step: np.ndarray,
    gradient: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """The longest of some steps along a direction that stays inside and climbs; x itself where there is none."""
    shrink = -(scaled @ step[..., None])[..., 0].min(1)  # first-order distance to the nearest wall, inverted
    length = np.minimum(1.0, 0.95 / np.maximum(shrink, 1e-300))
    now = np.einsum("bi,bi->b", gradient, x) + weight * np.log(values).sum(1)
    waiting = np.arange(len(x))
    out = x.copy()
    for _ in range(_HALVINGS):
        tried = x[waiting] + length[waiting, None] * step[waiting]
        inside = worlds.take(waiting).constraints(tried)
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (inside > 0).all(1)
            logs = np.log(np.where(inside > 0, inside, 1.0)).sum(1)
            merit = np.einsum("bi,bi->b", gradient[waiting], tried) + weight[waiting] * logs
        good &= merit >= now[waiting]
        out[waiting[good]] = tried[good]
        waiting = waiting[~good]
        if not len(waiting):
            break
        length[waiting] *= 0.5
    return out
