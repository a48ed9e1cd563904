# SPDX-License-Identifier: Apache-2.0
"""What every bench shares: interleaved repeats, statistics, tables, JSON rows.

Contenders run in turn (A B C A B C ...), so that whatever else the machine does hits all of them
alike; ratios are medians of the ratios within a round, never ratios of medians.
"""

import dataclasses
import json
import statistics
import sys
import time

# Thread pools spin for a few milliseconds after a parallel region; a contender that starts at once
# would share its cores with the one before.
SETTLE_SECONDS = 0.006
# Processors come out of that sleep slowly: short calls are timed in bursts that last longer.
BURST_MS = 25
LARGEST_BURST = 50


@dataclasses.dataclass
class Row:
    """One line of a bench; `extra` carries what only some benches have."""

    bench: str
    case: str
    peer: str | None = None
    ours_ms: float | None = None
    peer_ms: float | None = None
    ratio: float | None = None
    of_peak: float | None = None
    extra: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Context:
    """One run of run.py: its options, what the benches share, and what they found."""

    quick: bool = False
    long: bool = False
    repeat: int | None = None
    threads: int = 1
    only: str = ""
    executor: object = None
    torch: object = None
    rows: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)

    def repeats(self, normal, quick):
        return self.repeat or (quick if self.quick else normal)

    def wants(self, case):
        """Whether --case leaves it in."""
        return self.only in str(case)

    def note(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)

    def fail(self, text):
        self.failures.append(text)
        self.note(f"FAILED {text}")

    def add(self, *arguments, **fields):
        row = Row(*arguments, **fields)
        self.rows.append(row)
        return row

    def add_against(self, bench, case, peer, samples, **fields):
        """A row of `samples`: "ours" beside a peer, round by round; alone if peer is None."""
        row = self.add(bench, case, peer, median(samples["ours"]), **fields)
        if peer is not None:
            row.peer_ms = median(samples[peer])
            row.ratio = paired(samples[peer], samples["ours"])
        return row


def milliseconds(function):
    start = time.perf_counter_ns()
    function()
    return (time.perf_counter_ns() - start) / 1e6


class Samples(dict):
    """{name: [a number a round]}, and the processors that each contender really had."""

    def __init__(self, names):
        super().__init__((name, []) for name in names)
        self.processors = {name: [] for name in names}

    def time(self, name, function, calls):
        start_cpu, start = time.process_time_ns(), time.perf_counter_ns()
        for _ in range(calls):
            function()
        wall, cpu = time.perf_counter_ns() - start, time.process_time_ns() - start_cpu
        self[name].append(wall / 1e6 / calls)
        self.processors[name].append(cpu / wall)


def interleave(contenders, repeats, gauges=None, warm=True):
    """Times callables in turn, after one round untimed; `gauges` give their own number a round.
    With warm=False all have run before, in checks; the untimed round is left out, and each call is
    timed by itself."""
    gauges = gauges or {}
    samples = Samples((*gauges, *contenders))
    calls = dict.fromkeys(contenders, 1)
    for name, function in contenders.items() if warm else ():
        function()
        once = max(milliseconds(function), 1e-3)
        calls[name] = max(1, min(LARGEST_BURST, round(BURST_MS / once)))
    for _ in range(repeats):
        for name, gauge in gauges.items():
            time.sleep(SETTLE_SECONDS)
            samples[name].append(gauge())
        for name, function in contenders.items():
            time.sleep(SETTLE_SECONDS)
            samples.time(name, function, calls[name])
    return samples


def peak_bytes(function):
    """By how much the process's resident memory rose at most meanwhile; None where Linux's /proc is
    not there. What is not to be counted must have been written to before."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        before = status_bytes("VmRSS")
        function()
        return max(0, status_bytes("VmHWM") - before)
    except OSError:
        function()
        return None


def status_bytes(name):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))


def median(values):
    return statistics.median(values)


def quartiles(values):
    """(first, median, third)."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def paired(numerator, denominator, scale=1.0):
    """Median of numerator / denominator * scale, round by round."""
    return median([scale * n / d for n, d in zip(numerator, denominator, strict=True)])


def max_error(ours, theirs):
    """Largest absolute difference; infinite if one side alone is not finite somewhere."""
    import numpy

    same = (ours == theirs) | (numpy.isnan(ours) & numpy.isnan(theirs))
    with numpy.errstate(invalid="ignore"):
        difference = numpy.where(same, 0.0, numpy.abs(ours - theirs))
    if difference.size == 0:
        return 0.0
    return float(numpy.nan_to_num(difference, nan=numpy.inf, posinf=numpy.inf).max())


def print_table(title, headers, lines):
    """Plain aligned text: the first column to the left, the others to the right."""
    cells = [headers] + [["" if cell is None else str(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in cells) for i in range(len(headers))]
    print(f"\n{title}")
    for index, line in enumerate(cells):
        first, *rest = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
        if index == 0:
            print("  ".join("-" * width for width in widths))
    sys.stdout.flush()


def number(value, digits=2, suffix=""):
    return None if value is None else f"{value:.{digits}f}{suffix}"


def percent(value):
    return None if value is None else f"{100 * value:.1f}%"


def write_json(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        json.dump([dataclasses.asdict(row) for row in rows], file, indent=1)
        file.write("\n")
