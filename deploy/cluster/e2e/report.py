"""The table of results."""

import time

from machine import commit, machine


class Result:
    def __init__(self, sentence, seconds, why):
        self.sentence, self.seconds, self.why = sentence, seconds, why

    @property
    def good(self):
        return self.why is None


def table(what, results):
    """As a part of RESULTS.md. `what`: which scenarios these are."""
    red = [result for result in results if not result.good]
    lines = [
        f"## {time.strftime('%Y-%m-%d %H:%M')}, {what}",
        "",
        f"{len(results)} scenarios in {sum(result.seconds for result in results):.0f} s, {len(red) or 'none'} red. "
        f"Machine: {machine()}. Commit: {commit()}.",
        "",
        "| scenario | result | s |", "|---|---|---|",
        *(f"| {result.sentence} | {'ok' if result.good else 'RED'} | {result.seconds:.1f} |" for result in results),
        "",
    ]
    if red:
        lines += [*(f"- {result.sentence}: {result.why}" for result in red), ""]
    return "\n".join(lines)


def write(path, text):
    """Puts it into the file before the results that are there: the newest come first."""
    with open(path, encoding="utf-8") as file:
        before, mark, older = file.read().partition("\n## ")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}\n{text}{mark}{older}")
