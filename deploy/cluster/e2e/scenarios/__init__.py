"""The scenarios, in the order in which they run: imported for what `@scenario` registers."""

from scenarios import basics, adoption, cancelling, failures, placement, refusals, interference, amounts, rights, installation  # noqa: F401
