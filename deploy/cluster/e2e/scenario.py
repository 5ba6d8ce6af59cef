"""What a scenario is, and what it asks with.

To add one: a function in `scenarios/` with a sentence as its name and `@scenario`. It gets the world (world.py), and fails
by any exception. `ci=True` for what runs at each change; all others run in the nightly run only.
"""

import time

SCENARIOS = []


class Failed(Exception):
    """What was expected is not so."""


class Scenario:
    def __init__(self, function, ci, vital):
        self.function, self.ci, self.vital = function, ci, vital
        self.name = function.__name__
        self.sentence = self.name.replace("_", " ")


def scenario(ci=False, vital=False):
    """Registers a scenario. Without a `vital` one, those after it have no sense."""

    def register(function):
        SCENARIOS.append(Scenario(function, ci, vital))
        return function

    return register


def expect(condition, what):
    if not condition:
        raise Failed(what() if callable(what) else what)


def equal(found, expected, what):
    if found != expected:
        raise Failed(f"{what}: expected {shorten(expected)}, found {shorten(found)}")


def until(what, condition, seconds=60, pause=0.2):
    """Waits until the condition answers something true, and answers it."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"after {seconds:.0f} s: {what}")
        time.sleep(pause)


def shorten(value, length=600):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else f"{text[:length]}… ({len(text)} characters)"
