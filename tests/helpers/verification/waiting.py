"""Waiting of a network that runs without a process of its own, as its runner waits for a line."""

from effconvert.errors import EffconvertError
from effconvert.verification.launching import Together


def wait_for_the_other(together: Together | None) -> None:
    """Wait until the run is written that this one is given. Raises EffconvertError if it never is."""
    while together and together.ready and not together.ready.wait(0.02):
        if together.processes.ended:
            raise EffconvertError("the other network failed")
