"""The process that fuzzes one target: with atheris if it is installed, else with seeded mutations."""

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_EVERY = 2_000  # executions between two notes of what was found
_OWN = 192 << 20  # what the engine and its inputs take
_INSTRUMENTED = ["effconvert", "tarfile", "tomllib", "csv"]


def main(arguments: Sequence[str]) -> None:
    """Fuzz: TARGET RESULT INPUTS FAULTS SECONDS EXECUTIONS SEED."""
    name, result, inputs, faults, *limits = arguments
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        atheris = None
    with atheris.instrument_imports(include=_INSTRUMENTED) if atheris else contextlib.nullcontext():
        targets = import_module("helpers.fuzzing.targets").TARGETS
        session = Session(targets[name], Path(result), Path(faults), float(limits[0]), int(limits[1]), int(limits[2]))
        session.begin(Path(inputs), "atheris" if atheris else "seeded")
    if atheris:
        session.with_coverage(atheris)
    else:
        session.with_mutations()


class Session:
    """One target, its limits and what was found so far."""

    def __init__(self, target: Any, result: Path, faults: Path, seconds: float, executions: int, seed: int) -> None:
        from helpers.fuzzing.execution import Tally

        self.target, self.result, self.seed = target, result, seed
        self.tally = Tally(target, faults)
        self.seconds, self.executions = seconds, executions
        self.begun = time.monotonic()

    def begin(self, inputs: Path, engine: str) -> None:
        """Read the seeds once, so that all is imported while imports are instrumented and memory is not limited."""
        from helpers.fuzzing import corpus

        self.inputs, self.engine = inputs, engine
        self.seeds = list(self.target.seeds())
        self.starts = [*self.seeds, *corpus.load(self.target)]
        for content in self.starts:
            self.tally.run(content)

    def with_mutations(self) -> None:
        """Run seeded mutations of the seeds and of what is saved."""
        from helpers.fuzzing.execution import limited_memory
        from helpers.fuzzing.mutation import changes

        chosen = random.Random(self.seed)
        change = changes(self.starts, chosen)
        with limited_memory():
            while True:
                # What is saved is malformed for the most part, and each change of it would be refused at the same place.
                content = chosen.choice(self.seeds if chosen.random() < 0.5 else self.starts)
                for _ in range(chosen.choice((1, 1, 1, 2, 3))):
                    content = self.target.changed(content, change, chosen)
                self.one(content[:200_000])

    def with_coverage(self, atheris: ModuleType) -> None:
        """Let atheris choose the inputs."""
        from helpers.fuzzing.execution import MEMORY, limited_memory

        for number, content in enumerate(self.starts):
            (self.inputs / f"start-{number:03d}").write_bytes(content)

        def mutate(content: bytes, most: int, seed: int) -> bytes:
            chosen = random.Random(seed)
            return self.target.changed(content, lambda part: _mutated(atheris, part, most), chosen)[:most]  # type: ignore[no-any-return]

        longest = 2 * max(map(len, self.starts)) + 4096
        options = [
            f"-max_len={longest}",
            f"-seed={self.seed}",
            "-rss_limit_mb=0",
            "-timeout=60",
            "-use_value_profile=0",
            "-len_control=0",
            "-cross_over=0",
            "-mutate_depth=2",
        ]
        atheris.Setup([sys.argv[0], *options, str(self.inputs)], self.one, custom_mutator=mutate)
        with limited_memory(MEMORY + _OWN):
            atheris.Fuzz()

    def one(self, content: bytes) -> None:
        """Run one input; end the process when time or executions are up."""
        self.tally.run(content)
        done = self.tally.executions
        if done % _EVERY == 0 or done >= self.executions or (done % 64 == 0 and self._late()):
            self._note()
            if done >= self.executions or self._late():
                from helpers.fuzzing.target import remove_own_folder

                remove_own_folder()
                sys.stderr.flush()
                os._exit(0)

    def _late(self) -> bool:
        return time.monotonic() - self.begun > self.seconds

    def _note(self) -> None:
        found = {
            "engine": self.engine,
            "executions": self.tally.executions,
            "accepted": self.tally.accepted,
            "seconds": time.monotonic() - self.begun,
            "slowest": self.tally.slowest,
            "faults": dict(self.tally.faults),
        }
        self.result.write_text(json.dumps(found))


def _mutated(atheris: ModuleType, content: bytes, most: int) -> bytes:
    return bytes(atheris.Mutate(content, min(max(len(content) + 64, 8), most)))


if __name__ == "__main__":
    main(sys.argv[1:])
