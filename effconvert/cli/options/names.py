"""Types of options whose values have names: they complete, take other names, and say which name was probably meant."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from effconvert.architecture.canonical import CANONICAL_NAMES
from effconvert.errors import UnknownName, known_names

# What a name in a message, in lower case, is called here: the other names that users type.
_DTYPES = {"fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}
_DEVICES = {"gpu": "cuda"}

Known = Callable[[click.Context | None], Iterable[str]]
Called = Callable[[str], str]


class Name(click.ParamType):  # type: ignore[type-arg]
    """A name of one kind, such as a layout."""

    def __init__(
        self,
        kind: str,
        known: Known,
        called: Called,
        others: Callable[[], Iterable[str]] = tuple,
        open_ended: bool = False,
    ) -> None:
        """Store what a name of this `kind` may be.

        known: returns the names, which depend on the options before. called: returns the name that another one means,
        and may raise UnknownName. others: returns those other names. open_ended: the command itself checks the name.
        """
        self.name = kind
        self.known = known
        self.called = called
        self.others = others
        self.open_ended = open_ended

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            name = self.called(value)
        except UnknownName as error:
            self.fail(str(error), param, ctx)
        known = () if self.open_ended else tuple(self.known(ctx))
        if known and name not in known:
            words = known_names(value, known, others=self.others())
            self.fail(f"{value!r} is not a known {self.name}; {words}", param, ctx)
        return name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _completed(self.known(ctx), incomplete)


class Choice(click.Choice):  # type: ignore[type-arg]
    """One of a few names, which --help lists."""

    def __init__(self, choices: Sequence[str], called: Called = str) -> None:
        """Store the names. called: as in `Name`."""
        super().__init__(choices)
        self.called = called

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            name = value if value in self.choices else self.called(value)
        except UnknownName as error:
            self.fail(str(error), param, ctx)
        if name not in self.choices:
            self.fail(f"{value!r} is unknown; {known_names(value, self.choices)}", param, ctx)
        return name


class FactAssignment(click.ParamType):  # type: ignore[type-arg]
    """A fact with its value, `padding=symmetric`; it is checked when all are known."""

    name = "NAME=VALUE"

    # A section of --help: its title, and rows of names and explanations.
    section = (
        "Facts (of --facts)",
        {
            "bn_eps": "the epsilon of BatchNorm, 0.001 in TensorFlow's networks",
            "padding": "{values}: how a convolution with a stride pads",
            "activation": "{values}",
            "fused_stride": "{values}: which convolution of an EdgeTPU block has the stride",
            "classes": "the number of classes; 0 for a network without a classifier",
            "head_conv": "true or false: whether the last convolution is there",
            "normalization": "{values}: where pixels are normalised",
            "in_channels": "the number of channels of the images",
        },
    )

    def help_rows(self) -> list[tuple[str, str]]:
        """Return the facts, and what their values may be."""
        from effconvert.architecture.facts import CHOICES

        return [(name, words.format(values=_either(CHOICES.get(name, ())))) for name, words in self.section[1].items()]

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _completed(_facts(), incomplete)


def _either(values: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(values[:-1]), values[-1] if values else "") if part)


def _completed(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _facts() -> Iterator[str]:
    """Yield every assignment of a fact with few values, and the usual one of the others."""
    from effconvert.architecture.facts import CHOICES, Facts

    for name, usual in Facts().to_dict().items():
        yield from (f"{name}={value}" for value in CHOICES.get(name, [str(usual).lower()]))


def _variants(ctx: click.Context | None) -> Iterable[str]:
    from effconvert.architecture.variants import VARIANTS

    return VARIANTS


def _variant_called(name: str) -> str:
    from effconvert.architecture.variants import find_variant

    return find_variant(name).name


def _recipes(ctx: click.Context | None) -> Iterable[str]:
    from effconvert.reference_tables.reading import recipe_tables

    return recipe_tables()


def _recipe_called(name: str) -> str:
    """Return a recipe by its name, or by another name of the library whose recipe has the library's name."""
    from effconvert.maps.layouts import layout_called

    return name if name in _recipes(None) else layout_called(name)


def _publishers(ctx: click.Context | None) -> Iterable[str]:
    from effconvert.reference_tables.weights import FRAMEWORKS

    return FRAMEWORKS


def _publisher_names() -> Iterable[str]:
    from effconvert.reference_tables.publishers import read_publishers

    return [name for publisher in read_publishers().values() for name in publisher.names]


def _publisher_called(name: str) -> str:
    from effconvert.reference_tables.publishers import publisher_called

    return publisher_called(name)


def _trainings(ctx: click.Context | None) -> Iterable[str]:
    """Return the published trainings: of the variant and framework that the options before name, or all."""
    from effconvert.reference_tables.weights import weights_table

    given = ctx.params if ctx else {}
    variant = given.get("variant")
    rows = [row for row in weights_table() if variant in (None, "", row.variant)]
    return [name for row in rows for name in (row.short, row.weights)]


def _training_called(name: str) -> str:
    from effconvert.reference_tables.trainings import training_called

    return training_called(name)


def _published(ctx: click.Context | None) -> Iterable[str]:
    from effconvert.reference_tables.weights import weights_table

    return [row.name for row in weights_table()]


def _sources(ctx: click.Context | None) -> Iterable[str]:
    from effconvert.reference_tables.sources import read_sources

    return [*read_sources(), *(each.publisher for each in read_sources().values())]


def _source_called(name: str) -> str:
    return name if name in _sources(None) else _publisher_called(name)


def _datasets(ctx: click.Context | None) -> Iterable[str]:
    from effconvert.reference_tables.numbers import read_numbers

    return sorted({number.dataset for number in read_numbers()} - {""})


def _from(table: Mapping[str, str]) -> Called:
    return lambda name: table.get(name.lower(), name.lower())


VARIANT = Name("variant", _variants, _variant_called)
TRAINING = Name("training", _trainings, _training_called, open_ended=True)
RECIPE = Name("recipe", _recipes, _recipe_called)
PUBLISHER = Name("framework", _publishers, _publisher_called, _publisher_names)
PUBLISHED = Name("name", _published, str, open_ended=True)  # published_names.read_name reads it
SOURCE = Name("source", _sources, _source_called, _publisher_names)
DATASET = Name("data set", _datasets, str.lower)
FACT = FactAssignment()


def layout_name(known: Callable[[], tuple[str, ...]]) -> Name:
    """Return the type of a layout, of the package or of a user's map; `known` returns the allowed ones."""

    def called(name: str) -> str:
        from effconvert.maps.layouts import layout_called

        return layout_called(name)

    def others() -> Iterable[str]:
        from effconvert.maps.layouts import known_layouts

        return [name for layout in known_layouts() for name in layout.library.names] + [*CANONICAL_NAMES]

    return Name("layout", lambda ctx: known(), called, others)


def dtype_choice(*names: str) -> Choice:
    """Return the type of a dtype."""
    return Choice(names, _from(_DTYPES))


def device_choice() -> Choice:
    """Return the type of a device."""
    return Choice(("cpu", "cuda"), _from(_DEVICES))
