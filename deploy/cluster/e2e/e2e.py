"""The proof on a real cluster: the chart is installed with our images, and scenarios run against it.

Runs in the cluster's network (see run.sh), so that the API is reached through its Service. Exit code 0: every scenario that
ran is green.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback

import scenarios  # noqa: F401
from report import Result, table, write
from scenario import SCENARIOS
from world import World


def arguments():
    parser = argparse.ArgumentParser(prog="deploy/cluster/e2e/run.sh", description=__doc__)
    parser.add_argument("--nightly", action="store_true", help="all scenarios, not only those of each change")
    parser.add_argument("--only", action="append", metavar="WORDS", help="only scenarios with these words in their sentence, "
                        "and the vital ones; may be given again")
    parser.add_argument("--list", action="store_true", help="list the scenarios, and do nothing")
    parser.add_argument("--results", metavar="FILE", help="put the table into this file, before older ones")
    parser.add_argument("--failures", metavar="DIR", help="where states and logs of a failure go (a new folder in /tmp)")
    return parser.parse_args()


def chosen(wanted):
    if wanted.only:
        return [one for one in SCENARIOS if one.vital or any(words in one.sentence for words in wanted.only)]
    return [one for one in SCENARIOS if one.ci or wanted.nightly]


def say(text):
    print(text, flush=True)


def main():
    wanted = arguments()
    if wanted.list:
        for one in SCENARIOS:
            say(f"{'ci     ' if one.ci else 'nightly'}  {one.sentence}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failures = wanted.failures or tempfile.mkdtemp(prefix="olake-e2e-")
    os.makedirs(failures, exist_ok=True)
    world = World(failures)
    results = []
    try:
        for one in chosen(wanted):
            result = run(world, one, failures)
            results.append(result)
            if one.vital and not result.good:
                say("e2e: the others have no sense without it")
                break
    finally:
        world.stop()
    what = "chosen by hand" if wanted.only else "all" if wanted.nightly else "those of each change"
    text = table(what, results)
    say(text)
    if wanted.results:
        write(wanted.results, text)
    good = bool(results) and all(result.good for result in results)
    say("e2e: green" if good else f"e2e: red; states and logs are in {failures}")
    return 0 if good else 1


def run(world, one, failures):
    say(f"e2e: {one.sentence} …")
    begin = time.monotonic()
    try:
        one.function(world)
        why = None
    except Exception as error:  # whatever it is, the scenario has failed
        why = f"{type(error).__name__}: {error}"
        write_failure(world, os.path.join(failures, f"{one.name}.txt"), traceback.format_exc())
    result = Result(one.sentence, time.monotonic() - begin, why)
    say(f"e2e: {'ok ' if result.good else 'RED'} {result.seconds:6.1f} s  {one.sentence}" + (f"\n     {why}" if why else ""))
    return result


def write_failure(world, path, trace):
    try:
        found = world.diagnose()
    except Exception as error:  # the cluster itself may be gone
        found = f"nothing can be asked any more: {error}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{trace}\n{found}\n")


if __name__ == "__main__":
    sys.exit(main())
