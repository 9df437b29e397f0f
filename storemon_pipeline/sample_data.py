"""Generator of synthetic data sets of any size, in the format of the real files.

The sample in ``data/`` is generated with the defaults::

    python -m storemon_pipeline.sample_data data

This module imports nothing from the rest of the package, which must handle these files as it does
real ones.

Equal arguments give equal bytes on every platform and numpy version. Therefore every random choice
uses the doubles of one PCG64 stream: numpy may change how it derives integers, choices and
permutations, but not the stream itself.
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
# nine days after the end of DST in the USA: within the last month, outside the last week
DEFAULT_END = datetime(2024, 11, 12, 18, 13, 22, 479220, tzinfo=UTC)


class StoreKind(Enum):
    """The anomaly of a store; at most one, so that each can be examined separately."""

    PLAIN = auto()
    NO_HOURS = auto()
    NO_ZONE = auto()
    UNKNOWN_ZONE = auto()
    NEITHER = auto()  # neither hours nor zone
    DOWN = auto()  # one outage until the end
    SILENT = auto()  # no polls towards the end
    NEVER_POLLED = auto()


class Opening(NamedTuple):
    """One opening, the same on each of some weekdays (0 is Monday)."""

    days: Sequence[int]
    start: str
    end: str


class Zone(NamedTuple):
    """A time zone and its approximate UTC offset in hours, used only to place the night."""

    name: str
    utc_offset: int


Week = tuple[Opening, ...]

# Numbers of stores out of sixty. Sixty is also the default number of stores, so the sample in data/
# has exactly these.
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
    # Open across midnight, in its three notations.
    (Opening(DAILY, "09:30:00", "23:59:59"), Opening(DAILY, "00:00:00", "06:00:00")): 4,
    (Opening(DAILY, "11:00:00", "23:59:00"), Opening(DAILY, "00:00:00", "02:00:00")): 4,
    (Opening(DAILY, "17:00:00", "02:00:00"),): 5,
    # Open round the clock, in its three notations.
    (Opening(DAILY, "00:00:00", "23:59:00"),): 5,
    (Opening(DAILY, "00:00:00", "23:59:59"),): 3,
    (Opening(DAILY, "00:00:00", "00:00:00"),): 2,
    # Overlaps: within a day, and of one day's end with the next day's start.
    (Opening(DAILY, "08:00:00", "15:00:00"), Opening(DAILY, "12:00:00", "21:00:00")): 2,
    (Opening(DAILY, "20:00:00", "04:00:00"), Opening((5, 6), "02:30:00", "11:00:00")): 1,
    # Probably an error, but the real files contain it.
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

# maximum time of a poll before its due time, as a share of a step
JITTER = 0.4
MISSING_RATE = 0.05
WHOLE_SECOND_RATE = 0.001
# mean durations of up and down, in hours
MEAN_UP = 60.0
MEAN_DOWN = 4.0
# local hours in which most polls are inactive, regardless of the opening hours
NIGHT = (2, 6)
NIGHT_DOWN_RATE = 0.8
# range of the onset of SILENT and DOWN, as shares of the whole span
ONSET_RANGE = (0.8, 0.95)

BLOCK_POLLS = 400_000
CORRECTIONS_PER_BLOCK = 3
OTHER_STATUS = {"active": "inactive", "inactive": "active"}

# A bad row is a damaged copy of a valid one, which stays: quarantine changes no metric.
BAD_ROW_TEMPLATES = (
    ",{status},{stamp}",
    "{store},unknown,{stamp}",
    "{store},{status},yesterday noon",
    "{store},{status},2024-02-30 12:00:00 UTC",
    "{store},{status},",
    "=1+1,{status},{stamp}",
)


class Span(NamedTuple):
    """Due times of polls: `slots` times, `step` microseconds apart, the last at `end`."""

    slots: int
    step: int
    end: int


class Store(NamedTuple):
    """A synthetic store."""

    id: str
    kind: StoreKind
    week: Week
    zone: Zone

    @property
    def has_hours(self) -> bool:
        """Whether the store is in the file of opening hours."""
        return self.kind not in (StoreKind.NO_HOURS, StoreKind.NEITHER)

    @property
    def has_zone(self) -> bool:
        """Whether the store is in the file of time zones."""
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
        Output directory; created if missing. Existing files are replaced.
    stores
        Number of stores, at least 1. Some of them are missing from a file.
    days
        Days that the polls cover.
    every
        Approximate minutes between two polls of a store.
    end
        Time of the latest poll; UTC if naive.
    seed
        Seed of the random numbers.
    bad
        Number of bad rows in ``store_status.csv``; if above 0, the other two files have one bad
        row each.

    Raises
    ------
    ValueError
        If an argument is out of range.
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
    """Generate ids of 19 digits below 2^63, as the real ones, and a few UUIDs."""
    ids = []
    # a double has only 53 random bits, which would show in the last digits of an id
    words = np.floor(rng.random((n, 4)) * 2**32).astype(np.int64).tolist()
    for is_uuid, (a, b, c, d) in zip(_stratified_sample(rng, UUIDS, n), words, strict=True):
        bits = a << 96 | b << 64 | c << 32 | d
        ids.append(str(uuid.UUID(int=bits, version=4) if is_uuid else 10**18 + bits % (8 * 10**18)))
    return ids


def _stratified_sample(rng: np.random.Generator, shares: Mapping[T, int], n: int) -> list[T]:
    """Return `n` values in random order, each in proportion to its share.

    Independent draws could omit the rare values from a small set. The first value occurs for every
    `n`.
    """
    population = [value for value, share in shares.items() for _ in range(share)]
    return _shuffled(rng, [population[i * len(population) // n] for i in range(n)])


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
    if bad:  # days counted from 1
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
    """Yield the lines of the polls in blocks of stores, so that memory is bounded.

    Lines of a block are in random order, but a correction follows the poll that it corrects.
    """
    polled = [store for store in stores if store.kind is not StoreKind.NEVER_POLLED]
    newest = next(store for store in polled if store.kind is StoreKind.PLAIN)
    size = max(1, BLOCK_POLLS // span.slots)
    starts = range(0, len(polled), size)
    templates = [BAD_ROW_TEMPLATES[i % len(BAD_ROW_TEMPLATES)] for i in range(bad)]
    for number, start in enumerate(starts):
        block = polled[start : start + size]
        lines = _shuffled(rng, _poll_lines(rng, block, newest, span))
        lines += [_corrected(line) for line in lines[:CORRECTIONS_PER_BLOCK]]
        yield _with_bad_rows(lines, templates[number :: len(starts)])


def _poll_lines(
    rng: np.random.Generator,
    block: Sequence[Store],
    newest: Store,
    span: Span,
) -> list[str]:
    """Generate the polls of some stores; the last one of the store `newest` is exactly at the end.

    Arrays have the shape (slots, stores of the block), the earliest slot first.
    """
    slots, step, end = span
    shape = slots, len(block)
    due = end - step * np.arange(slots, dtype=np.int64)[::-1, np.newaxis]
    at = due - 1 - np.floor(rng.random(shape) * (JITTER * step)).astype(np.int64)
    chance = rng.random(shape)
    at -= np.where(chance < WHOLE_SECOND_RATE, at % SECOND, 0)
    is_present = chance < 1 - MISSING_RATE

    onset = np.floor(
        slots * (ONSET_RANGE[0] + (ONSET_RANGE[1] - ONSET_RANGE[0]) * rng.random(len(block)))
    )
    is_after_onset = np.arange(slots)[:, np.newaxis] >= onset
    is_present &= ~(is_after_onset & _is_kind(block, StoreKind.SILENT))
    up = _simulate_status(rng, shape, step / HOUR) & ~_is_down_at_night(rng, at, block)
    up &= ~(is_after_onset & _is_kind(block, StoreKind.DOWN))

    is_newest = np.array([store is newest for store in block])
    at[-1, is_newest] = end
    is_present[-1, is_newest] = True

    stamps = np.datetime_as_string(at[is_present].astype("datetime64[us]")).tolist()
    ids = [store.id for store in block]
    return [
        f"{ids[i]},{'active' if is_up else 'inactive'},{_format_timestamp(stamp)}"
        for i, is_up, stamp in zip(
            np.nonzero(is_present)[1].tolist(), up[is_present].tolist(), stamps, strict=True
        )
    ]


def _is_kind(block: Iterable[Store], kind: StoreKind) -> Flags:
    return np.array([store.kind is kind for store in block])


def _simulate_status(rng: np.random.Generator, shape: tuple[int, int], step_hours: float) -> Flags:
    """Simulate the status of each store as a Markov chain, with outages that last for hours."""
    fail, recover = min(1.0, step_hours / MEAN_UP), min(1.0, step_hours / MEAN_DOWN)
    up = np.empty(shape, dtype=np.bool_)
    state = np.ones(shape[1], dtype=np.bool_)
    for slot, draw in enumerate(rng.random(shape)):
        state = np.where(state, draw >= fail, draw < recover)
        up[slot] = state
    return up


def _is_down_at_night(rng: np.random.Generator, at: Instants, block: Iterable[Store]) -> Flags:
    offsets = np.array([store.zone.utc_offset for store in block], dtype=np.int64)
    local_hour = (at // HOUR + offsets) % 24
    is_night = (local_hour >= NIGHT[0]) & (local_hour < NIGHT[1])
    is_down: Flags = is_night & (rng.random(at.shape) < NIGHT_DOWN_RATE)
    return is_down


def _format_timestamp(stamp: str) -> str:
    """Format ``2024-11-12T18:13:22.500000`` as ``2024-11-12 18:13:22.5 UTC``."""
    return stamp.replace("T", " ").rstrip("0").rstrip(".") + " UTC"


def _corrected(line: str) -> str:
    store, status, stamp = line.split(",")
    return f"{store},{OTHER_STATUS[status]},{stamp}"


def _with_bad_rows(lines: list[str], templates: Sequence[str]) -> list[str]:
    """Insert a damaged copy before a line, one per template, evenly spread."""
    places = [len(lines) * (i + 1) // (len(templates) + 1) for i in range(len(templates))]
    for at, template in reversed(list(zip(places, templates, strict=True))):
        store, status, stamp = lines[at].split(",")
        lines.insert(at, template.format(store=store, status=status, stamp=stamp))
    return lines


def _write(path: Path, header: str, blocks: Iterable[Sequence[str]]) -> None:
    """Write a file atomically: an incomplete file never has the final name."""
    temporary = path.with_name(f".{path.name}.temporary")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(header + "\n")
            for lines in blocks:
                file.writelines(f"{line}\n" for line in lines)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _microseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - EPOCH) // timedelta(microseconds=1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; by default those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m storemon_pipeline.sample_data",
        description="Generate a synthetic data set in the format of the real files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out_dir", type=Path, help="output directory of the three files")
    parser.add_argument("--stores", type=int, help="number of stores")
    parser.add_argument("--days", type=float, help="days that the polls cover")
    parser.add_argument(
        "--every", type=float, help="approximate minutes between two polls of a store"
    )
    parser.add_argument("--end", type=datetime.fromisoformat, help="time of the latest poll")
    parser.add_argument("--seed", type=int, help="seed of the random numbers")
    parser.add_argument("--bad", type=int, help="number of bad rows among the polls")
    parser.set_defaults(**generate.__kwdefaults__ or {})
    arguments = parser.parse_args(argv)
    try:
        generate(**vars(arguments))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
