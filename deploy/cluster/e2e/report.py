"""The table of results."""

import os
import platform
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Result:
    def __init__(self, sentence, seconds, why):
        self.sentence, self.seconds, self.why = sentence, seconds, why

    @property
    def good(self):
        return self.why is None


def table(results):
    """As a part of RESULTS.md."""
    red = sum(not result.good for result in results)
    lines = [
        f"## {time.strftime('%Y-%m-%d %H:%M')}",
        "",
        f"{len(results)} scenarios in {sum(result.seconds for result in results):.0f} s, {red or 'none'} red. "
        f"Machine: {machine()}. Commit: {commit()}.",
        "",
        "| scenario | result | s |", "|---|---|---|",
        *(f"| {result.sentence} | {'ok' if result.good else 'RED'} | {result.seconds:.1f} |" for result in results),
        "",
    ]
    return "\n".join(lines)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}"


def commit():
    answer = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"
