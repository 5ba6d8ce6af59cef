"""The scenarios, in the order in which they run: imported for what `@scenario` registers."""

from scenarios import (  # noqa: F401
    basics, adoption, cancelling, failures, placement, refusals, interference, nodes, amounts, tls, rights, installation)
