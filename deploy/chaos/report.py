"""Counts what went wrong, and says it."""

import time

from faults import KINDS
from machine import commit, machine
from system import LEASE, PLACES, RECONCILE, WORKERS


def count(load, states, open_jobs, files, say):
    """What must all be 0, by name. Says of which job it is."""
    missing = doubled = too_old = lost = overlaps = rows = 0
    for job in [*load.jobs, load.canary]:
        story = job.story()
        overlaps += story.overlaps
        lines = story.line_faults(job.lines())
        windows = zip(job.acknowledged, [*job.acknowledged[1:], float("inf")])
        found = {
            "lines missing": lines[0],
            "lines doubled": lines[1],
            "states too old": story.states_too_old(states.get(job.id)),
            "rows missing": story.rows_missing(job.promised),
            "syncs lost": sum(not story.succeeded_between(begin, end) for begin, end in windows),
            "overlaps": story.overlaps,
        }
        for name, what in found.items():
            if what:
                say(f"chaos: {job.key} (id {job.id}): {name}: {what}")
        missing, doubled = missing + len(lines[0]), doubled + len(lines[1])
        too_old += found["states too old"]
        rows += found["rows missing"]
        lost += found["syncs lost"]
    return {
        "acknowledged syncs lost": lost,
        "two live connectors of one job": overlaps,
        "tasks not terminal": len(open_jobs),
        "tasks that ended badly": sum(len(job.failures) for job in load.jobs),
        "log lines missing": missing,
        "log lines doubled": doubled,
        "states older than the last acknowledged batch": too_old,
        "rows missing": rows,
        "processes left": 0,  # counted when the system has stopped
        "files of attempts left": len(files),
    }


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, round(p / 100 * (len(values) - 1)))]


def write(load, counts, recoveries, seed, seconds):
    """The report, as a part of RESULTS.md."""
    syncs = sum(len(job.acknowledged) for job in load.jobs)
    runs = sum(len(job.story().runs) for job in load.jobs)
    said = sum(len(run.lines) for job in load.jobs for run in job.story().runs)
    faults = sum(len(times) for times in recoveries.values())
    lines = [
        f"## {time.strftime('%Y-%m-%d %H:%M')}, seed {seed}",
        "",
        f"{syncs} syncs of {len(load.jobs)} jobs were acknowledged and ran as {runs} connectors that said {said} numbered "
        f"lines, through {faults} faults in {seconds:.0f} s. {WORKERS} workers with {PLACES} places each, lease {LEASE} s, "
        f"a look every {RECONCILE} s.",
        "",
        f"Machine: {machine()}. Commit: {commit()}.",
        "",
        "| what must not be | number |", "|---|---|",
        *(f"| {name} | {number} |" for name, number in counts.items()),
        "",
        "| fault | times | recovery p50 (s) | p99 (s) |", "|---|---|---|---|",
        *(f"| {kind.replace('_', ' ')} | {len(recoveries[kind])} | {percentile(recoveries[kind], 50):.1f} | "
          f"{percentile(recoveries[kind], 99):.1f} |" for kind in KINDS if recoveries[kind]),
        "",
    ]
    return "\n".join(lines)
