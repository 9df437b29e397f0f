"""A made-up data set in the shape of the real files, as small or as large as asked for.

Here is what decides how made-up stores, opening hours and polls look; the project's own sample in
``data/`` is what this module writes with its defaults::

    python -m storemon_pipeline.sample_data data

Nothing here knows how files are read or what a report is: the rest of the package must cope with
these files as it must with real ones, so it is not asked how it would like them.

Equal arguments give equal bytes on every platform and numpy version. That is why every random
choice is made from the doubles of one PCG64 stream: numpy may change how it makes integers,
choices and permutations of them, but not the stream itself.
"""

import argparse
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Flags = npt.NDArray[np.bool_]
Instants = npt.NDArray[np.int64]  # microseconds since 1970-01-01 UTC

SECOND = 10**6
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Nine days after the clocks went back in the USA: within the last month, outside the last week.
DEFAULT_END = datetime(2024, 11, 12, 18, 13, 22, 479220, tzinfo=UTC)


class StoreKind(Enum):
    """What is odd about a store; at most one thing, so that each can be looked at by itself."""

    PLAIN = auto()
    NO_HOURS = auto()
    NO_ZONE = auto()
    UNKNOWN_ZONE = auto()
    NEITHER = auto()  # neither hours nor zone
    DOWN = auto()  # one outage that lasts up to the end
    SILENT = auto()  # no polls towards the end
    NEVER_POLLED = auto()


class Opening(NamedTuple):
    """One opening, the same on each of some weekdays (0 is Monday)."""

    days: Sequence[int]
    start: str
    end: str


class Zone(NamedTuple):
    """A time zone and its rough distance from UTC in hours, which only decides when it is night."""

    name: str
    utc_offset: int


Week = tuple[Opening, ...]

# Each table says how many of sixty stores have what. Sixty is also the default number of stores,
# so the sample in data/ has exactly these.
KINDS: dict[StoreKind, int] = {
    StoreKind.PLAIN: 43,
    StoreKind.NO_HOURS: 3,
    StoreKind.NO_ZONE: 3,
    StoreKind.UNKNOWN_ZONE: 1,
    StoreKind.NEITHER: 1,
    StoreKind.DOWN: 3,
    StoreKind.SILENT: 4,
    StoreKind.NEVER_POLLED: 2,
}

DAILY = range(7)
WEEKS: dict[Week, int] = {
    (Opening(DAILY, "11:00:00", "22:00:00"),): 10,
    (Opening(DAILY, "06:00:00", "21:30:00"),): 6,
    (Opening(range(5), "07:00:00", "19:00:00"), Opening((5, 6), "09:00:00", "15:45:00")): 4,
    # Closed on Mondays, and on Sundays and Mondays.
    (Opening(range(1, 7), "10:30:00", "20:30:00"),): 5,
    (Opening(range(1, 6), "12:00:00", "21:00:00"),): 3,
    # Split shifts.
    (Opening(DAILY, "11:30:00", "14:30:00"), Opening(DAILY, "17:00:00", "22:30:00")): 5,
    # Open across midnight, in the three ways in which it is written.
    (Opening(DAILY, "09:30:00", "23:59:59"), Opening(DAILY, "00:00:00", "06:00:00")): 4,
    (Opening(DAILY, "11:00:00", "23:59:00"), Opening(DAILY, "00:00:00", "02:00:00")): 4,
    (Opening(DAILY, "17:00:00", "02:00:00"),): 5,
    # Round the clock, in the three ways in which it is written.
    (Opening(DAILY, "00:00:00", "23:59:00"),): 5,
    (Opening(DAILY, "00:00:00", "23:59:59"),): 3,
    (Opening(DAILY, "00:00:00", "00:00:00"),): 2,
    # Overlaps: within a day, and of one day's end with the next day's start.
    (Opening(DAILY, "08:00:00", "15:00:00"), Opening(DAILY, "12:00:00", "21:00:00")): 2,
    (Opening(DAILY, "20:00:00", "04:00:00"), Opening((5, 6), "02:30:00", "11:00:00")): 1,
    # Surely a slip, but the real files have it.
    (Opening(DAILY, "00:00:00", "00:10:00"),): 1,
}

ZONES: dict[Zone, int] = {
    Zone("America/New_York", -5): 28,
    Zone("America/Los_Angeles", -8): 14,
    Zone("America/Chicago", -6): 7,
    Zone("America/Phoenix", -7): 3,
    Zone("America/Denver", -7): 2,
    Zone("America/Detroit", -5): 1,
    Zone("America/Boise", -7): 1,
    Zone("Pacific/Honolulu", -10): 1,
    Zone("Asia/Beirut", 2): 1,
    Zone("Australia/Sydney", 11): 2,
}
UNKNOWN_ZONE = "America/Springfield"

UUIDS: dict[bool, int] = {False: 57, True: 3}

# A poll comes at most this share of a step before its due time.
JITTER = 0.4
MISSING_RATE = 0.05
WHOLE_SECOND_RATE = 0.001
# Mean lengths in hours of the two states between which a store goes to and fro.
MEAN_UP = 60.0
MEAN_DOWN = 4.0
# Local hours in which most polls find a store inactive, whatever its opening hours say.
NIGHT = (2, 6)
NIGHT_DOWN_RATE = 0.8
# A silence or an outage up to the end begins between these two points of the whole span.
ONSET_RANGE = (0.8, 0.95)

BLOCK_POLLS = 400_000
CORRECTIONS_PER_BLOCK = 3
OTHER_STATUS = {"active": "inactive", "inactive": "active"}

# A bad row is a damaged copy of a good one, which stays: setting bad rows aside changes no figure.
BAD_ROW_TEMPLATES = (
    ",{status},{stamp}",
    "{store},unknown,{stamp}",
    "{store},{status},yesterday noon",
    "{store},{status},2024-02-30 12:00:00 UTC",
    "{store},{status},",
    "=1+1,{status},{stamp}",
)


class Span(NamedTuple):
    """When polls are due: `slots` times, `step` microseconds apart, the last one at `end`."""

    slots: int
    step: int
    end: int


class Store(NamedTuple):
    """A made-up store."""

    id: str
    kind: StoreKind
    week: Week
    zone: Zone

    @property
    def has_hours(self) -> bool:
        """Whether the file of opening hours knows the store."""
        return self.kind not in (StoreKind.NO_HOURS, StoreKind.NEITHER)

    @property
    def has_zone(self) -> bool:
        """Whether the file of time zones knows the store."""
        return self.kind not in (StoreKind.NO_ZONE, StoreKind.NEITHER)


def generate(
    out_dir: Path,
    *,
    stores: int = 60,
    days: float = 35,
    every: float = 60,
    end: datetime = DEFAULT_END,
    seed: int = 1,
    bad: int = 8,
) -> None:
    """Write ``store_status.csv``, ``menu_hours.csv`` and ``timezones.csv``.

    Parameters
    ----------
    out_dir
        Folder to write to; made where it is missing. Files of these names are replaced.
    stores
        Number of stores, at least 1. Some of them are missing in one file or another.
    days
        Length in days of the span that the polls cover.
    every
        Minutes between two polls of a store, give or take.
    end
        Instant of the latest poll; UTC where it has no zone.
    seed
        Another seed gives other stores and polls of the same kinds.
    bad
        Number of bad rows in ``store_status.csv``; where it is above 0, the other two files have
        one bad row each.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    if stores < 1 or days <= 0 or every <= 0 or bad < 0:
        msg = (
            f"need stores >= 1, days > 0, every > 0, bad >= 0: {stores=}, {days=}, {every=}, {bad=}"
        )
        raise ValueError(msg)
    span = Span(
        slots=max(1, int(days * 24 * 60 / every)),
        step=max(1, round(every * MINUTE)),
        end=_microseconds(end),
    )
    rng = np.random.Generator(np.random.PCG64(seed))
    fleet = _make_stores(rng, stores)
    out_dir.mkdir(parents=True, exist_ok=True)
    _write(
        out_dir / "menu_hours.csv",
        "store_id,day,start_time_local,end_time_local",
        [_shuffled(rng, _hours_lines(fleet, bad=bad > 0))],
    )
    _write(
        out_dir / "timezones.csv",
        "store_id,timezone_str",
        [_shuffled(rng, _zone_lines(fleet, bad=bad > 0))],
    )
    _write(
        out_dir / "store_status.csv",
        "store_id,status,timestamp_utc",
        _status_blocks(rng, fleet, span, bad),
    )


def _make_stores(rng: np.random.Generator, n: int) -> list[Store]:
    kinds, weeks, zones = (_stratified_sample(rng, table, n) for table in (KINDS, WEEKS, ZONES))
    return [Store(*parts) for parts in zip(_make_ids(rng, n), kinds, weeks, zones, strict=True)]


def _make_ids(rng: np.random.Generator, n: int) -> list[str]:
    """Make ids of 19 digits, below 2^63 as the real ones, and a few UUIDs."""
    ids = []
    # A double has 53 random bits, too few for such an id: its last digits would show it.
    words = np.floor(rng.random((n, 4)) * 2**32).astype(np.int64).tolist()
    for is_uuid, (a, b, c, d) in zip(_stratified_sample(rng, UUIDS, n), words, strict=True):
        bits = a << 96 | b << 64 | c << 32 | d
        ids.append(str(uuid.UUID(int=bits, version=4) if is_uuid else 10**18 + bits % (8 * 10**18)))
    return ids


def _stratified_sample(rng: np.random.Generator, shares: Mapping[T, int], n: int) -> list[T]:
    """Give each of `n` stores a value, each value as often as its share says, in random order.

    Drawing each store's value by itself would leave a small set without the rare ones. The first
    value is dealt at any `n`.
    """
    deck = [value for value, share in shares.items() for _ in range(share)]
    return _shuffled(rng, [deck[i * len(deck) // n] for i in range(n)])


def _shuffled(rng: np.random.Generator, items: Sequence[T]) -> list[T]:
    order: list[int] = np.argsort(rng.random(len(items)), kind="stable").tolist()
    return [items[i] for i in order]


def _hours_lines(stores: Iterable[Store], *, bad: bool) -> list[str]:
    lines = [
        f"{store.id},{day},{opening.start},{opening.end}"
        for store in stores
        if store.has_hours
        for opening in store.week
        for day in opening.days
    ]
    if bad:  # somebody counted from 1
        store_id, _day, times = lines[0].split(",", 2)
        lines.append(f"{store_id},7,{times}")
    return lines


def _zone_lines(stores: Sequence[Store], *, bad: bool) -> list[str]:
    lines = [
        f"{store.id},{UNKNOWN_ZONE if store.kind is StoreKind.UNKNOWN_ZONE else store.zone.name}"
        for store in stores
        if store.has_zone
    ]
    if bad:
        zoneless = next((store for store in stores if not store.has_zone), stores[0])
        lines.append(f"{zoneless.id},")
    return lines


def _status_blocks(
    rng: np.random.Generator, stores: Sequence[Store], span: Span, bad: int
) -> Iterator[list[str]]:
    """Yield the lines of the polls, some stores at a time: memory does not grow with the stores.

    Within a block the lines are in no order, but a correction comes after what it corrects.
    """
    polled = [store for store in stores if store.kind is not StoreKind.NEVER_POLLED]
    newest = next(store for store in polled if store.kind is StoreKind.PLAIN)
    size = max(1, BLOCK_POLLS // span.slots)
    starts = range(0, len(polled), size)
    damages = [BAD_ROW_TEMPLATES[i % len(BAD_ROW_TEMPLATES)] for i in range(bad)]
    for number, start in enumerate(starts):
        block = polled[start : start + size]
        lines = _shuffled(rng, _poll_lines(rng, block, newest, span))
        lines += [_corrected(line) for line in lines[:CORRECTIONS_PER_BLOCK]]
        yield _with_bad_rows(lines, damages[number :: len(starts)])


def _poll_lines(
    rng: np.random.Generator,
    block: Sequence[Store],
    newest: Store,
    span: Span,
) -> list[str]:
    """Make the polls of some stores; the last one of the store `newest` is right at the end.

    Each array below has the shape (slots, stores of the block), the earliest slot first.
    """
    slots, step, end = span
    shape = slots, len(block)
    due = end - step * np.arange(slots, dtype=np.int64)[::-1, np.newaxis]
    at = due - 1 - np.floor(rng.random(shape) * (JITTER * step)).astype(np.int64)
    luck = rng.random(shape)
    at -= np.where(luck < WHOLE_SECOND_RATE, at % SECOND, 0)
    kept = luck < 1 - MISSING_RATE

    turn = np.floor(
        slots * (ONSET_RANGE[0] + (ONSET_RANGE[1] - ONSET_RANGE[0]) * rng.random(len(block)))
    )
    turned = np.arange(slots)[:, np.newaxis] >= turn
    kept &= ~(turned & _is_kind(block, StoreKind.SILENT))
    up = _up_and_down(rng, shape, step / HOUR) & ~_is_asleep(rng, at, block)
    up &= ~(turned & _is_kind(block, StoreKind.DOWN))

    is_newest = np.array([store is newest for store in block])
    at[-1, is_newest] = end
    kept[-1, is_newest] = True

    stamps = np.datetime_as_string(at[kept].astype("datetime64[us]")).tolist()
    ids = [store.id for store in block]
    return [
        f"{ids[i]},{'active' if is_up else 'inactive'},{_as_in_real_files(stamp)}"
        for i, is_up, stamp in zip(
            np.nonzero(kept)[1].tolist(), up[kept].tolist(), stamps, strict=True
        )
    ]


def _is_kind(block: Iterable[Store], kind: StoreKind) -> Flags:
    return np.array([store.kind is kind for store in block])


def _up_and_down(rng: np.random.Generator, shape: tuple[int, int], step_hours: float) -> Flags:
    """Let each store go to and fro between up and down, with outages that last for hours."""
    fail, mend = min(1.0, step_hours / MEAN_UP), min(1.0, step_hours / MEAN_DOWN)
    up = np.empty(shape, dtype=np.bool_)
    state = np.ones(shape[1], dtype=np.bool_)
    for slot, draw in enumerate(rng.random(shape)):
        state = np.where(state, draw >= fail, draw < mend)
        up[slot] = state
    return up


def _is_asleep(rng: np.random.Generator, at: Instants, block: Iterable[Store]) -> Flags:
    offsets = np.array([store.zone.utc_offset for store in block], dtype=np.int64)
    local_hour = (at // HOUR + offsets) % 24
    is_night = (local_hour >= NIGHT[0]) & (local_hour < NIGHT[1])
    asleep: Flags = is_night & (rng.random(at.shape) < NIGHT_DOWN_RATE)
    return asleep


def _as_in_real_files(stamp: str) -> str:
    """Write ``2024-11-12T18:13:22.500000`` as ``2024-11-12 18:13:22.5 UTC``."""
    return stamp.replace("T", " ").rstrip("0").rstrip(".") + " UTC"


def _corrected(line: str) -> str:
    store, status, stamp = line.split(",")
    return f"{store},{OTHER_STATUS[status]},{stamp}"


def _with_bad_rows(lines: list[str], damages: Sequence[str]) -> list[str]:
    """Put a damaged copy of a line before it, once for each of `damages`, evenly spread."""
    spread = [len(lines) * (i + 1) // (len(damages) + 1) for i in range(len(damages))]
    for at, damage in reversed(list(zip(spread, damages, strict=True))):
        store, status, stamp = lines[at].split(",")
        lines.insert(at, damage.format(store=store, status=status, stamp=stamp))
    return lines


def _write(path: Path, header: str, blocks: Iterable[Sequence[str]]) -> None:
    """Write a file whole or not at all: nobody finds half of one under its name."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(header + "\n")
            for lines in blocks:
                file.writelines(f"{line}\n" for line in lines)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _microseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - EPOCH) // timedelta(microseconds=1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; `argv` without the program's name, from the shell by default."""
    parser = argparse.ArgumentParser(
        prog="python -m storemon_pipeline.sample_data",
        description="Write a made-up data set in the shape of the real files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out_dir", type=Path, help="folder for the three files")
    parser.add_argument("--stores", type=int, help="number of stores")
    parser.add_argument("--days", type=float, help="days that the polls cover")
    parser.add_argument("--every", type=float, help="minutes between two polls of a store")
    parser.add_argument("--end", type=datetime.fromisoformat, help="instant of the latest poll")
    parser.add_argument("--seed", type=int, help="another one gives another set")
    parser.add_argument("--bad", type=int, help="number of bad rows among the polls")
    parser.set_defaults(**generate.__kwdefaults__ or {})
    arguments = parser.parse_args(argv)
    try:
        generate(**vars(arguments))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
