"""What results are told with: the machine that they were measured on, and the commit. On the PYTHONPATH of whatever asks."""

import os
import platform
import subprocess


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
    here = os.path.dirname(os.path.abspath(__file__))
    answer = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"
