"""A process that prepares images in memory that it shares with its parent.

It is started as a module of its own and not by multiprocessing's ways: a fork would carry torch and its threads along,
and a spawned process would run the user's script once more.
"""

import os
import sys
from multiprocessing.connection import Connection

from effconvert.validate.evaluation.preparing import Prepared, Setup, prepare

from effconvert.errors import EffconvertError


def main() -> None:
    """Serve the parent until it closes the connection, or is no more."""
    descriptor, memory = (int(argument) for argument in sys.argv[1:])
    with Connection(descriptor) as connection:
        try:
            _serve(connection, memory)
        except (EOFError, ConnectionError):
            return


def _serve(connection: Connection, memory: int) -> None:
    setup: Setup = connection.recv()
    ring = setup.ring.array(memory)
    os.close(memory)
    while True:
        slot, locations = connection.recv()
        try:
            answer: Prepared | EffconvertError = prepare(locations, setup.recipe, setup.pipeline, ring[slot])
        except EffconvertError as error:
            answer = error
        if "cv2" in sys.modules:  # as many threads as cores in each worker would be in each other's way
            sys.modules["cv2"].setNumThreads(1)
        connection.send(answer)


if __name__ == "__main__":
    main()
