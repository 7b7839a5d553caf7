"""Published files of weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from effconvert.architecture.facts import parse_assignments
from effconvert.reference_tables.publishers import read_publishers
from effconvert.reference_tables.reading import Row, anything, is_count, is_name, is_number, one_of, optional, read_rows

FRAMEWORKS = tuple(name for name, publisher in read_publishers().items() if publisher.files)

# timm's tags name the training and the data; these are the other frameworks' names for the same trainings.
_SHORT_NAMES = {
    "in1k": "base",
    "aa_in1k": "aa",
    "ra_in1k": "ra",
    "ap_in1k": "advprop",
    "ns_jft_in1k": "ns",
    "ns_jft_in1k_475": "ns-475",
}

_HASHED = re.compile(r"-[0-9a-f]{8}\.pth$")


@dataclass(frozen=True)
class Published:
    """One published file of weights: an archive of TensorFlow, or a single file of another framework.

    network: the framework's name of the network. release: orders the weights of one variant, the usual ones last; it
    rises with the date where that is known. released: year and month, "" where unknown. size: height and width of the
    images in pixels. url: the address; a file of a Python package has a package URL, `pkg:pypi/NAME@VERSION#PATH`
    (github.com/package-url/purl-spec), with its installed PATH. sha256, md5: of the file, None where unknown. bytes:
    its size, rounded to bytes_step, None where not published. facts: those that neither the file nor its layout has.
    recipe: a table of recipes.toml. crop_pct: timm's, None otherwise. default: timm's default tag of this network.
    """

    framework: str
    variant: str
    weights: str
    network: str
    release: int
    released: str
    size: int
    classes: int
    url: str
    sha256: str | None
    md5: str | None
    bytes: int | None
    bytes_step: int
    facts: Mapping[str, str]
    recipe: str
    crop_pct: float | None
    default: bool
    note: str
    source: str

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("#")[2].rpartition("/")[2]

    @property
    def beside(self) -> tuple[str, ...]:
        """The files beside it in its repository that describe its network."""
        return ("config.json", "preprocessor_config.json") if self.framework == "huggingface" else ()

    @property
    def place(self) -> tuple[str, str]:
        """Framework and variant."""
        return self.framework, self.variant

    @property
    def name(self) -> str:
        """The unique name for `effconvert convert --published`: `torchvision/b0/imagenet1k_v1`."""
        return "/".join((*self.place, self.weights))

    @property
    def older_name(self) -> str:
        """The older name with network and training, from the file's name (`tf_efficientnet_b0_ns`), or ""."""
        name = _HASHED.sub("", self.file_name)
        return "" if name in (self.file_name, self.network) else name

    @property
    def short(self) -> str:
        """The name of the weights that all frameworks share, if there is one."""
        return _SHORT_NAMES.get(self.weights, self.weights)

    @property
    def training(self) -> str:
        """The training's name in accuracy.csv: ports of timm have the name of their origin, its own have their tags."""
        return self.weights if self.framework == "timm" and not self.network.startswith("tf_") else self.short


_RULES = {
    "framework": one_of(*FRAMEWORKS),
    "variant": is_name,
    "weights": is_name,
    "network": is_name,
    "release": str.isdecimal,
    "released": anything,
    "size": is_count,
    "classes": is_count,
    "url": lambda text: text.startswith(("https://", "pkg:pypi/")),
    "sha256": anything,
    "md5": anything,
    "bytes": optional(is_count),
    "bytes_step": optional(is_count),
    "facts": anything,
    "recipe": is_name,
    "crop_pct": optional(is_number),
    "default": one_of("yes", ""),
    "note": anything,
    "source": is_name,
}


@cache
def weights_table() -> tuple[Published, ...]:
    """Return every published file; the order of a variant's rows is not defined.

    Raises ValueError with all wrong cells of weights.csv.
    """
    return tuple(_published(row) for row in read_rows("weights.csv", _RULES))


def _published(row: Row) -> Published:
    return Published(
        framework=row["framework"],
        variant=row["variant"],
        weights=row["weights"],
        network=row["network"],
        release=int(row["release"]),
        released=row["released"],
        size=int(row["size"]),
        classes=int(row["classes"]),
        url=row["url"],
        sha256=row["sha256"].lower() or None,
        md5=row["md5"].lower() or None,
        bytes=int(row["bytes"]) if row["bytes"] else None,
        bytes_step=int(row["bytes_step"] or 0),
        facts=parse_assignments(row["facts"].split()),
        recipe=row["recipe"],
        crop_pct=float(row["crop_pct"]) if row["crop_pct"] else None,
        default=row["default"] == "yes",
        note=row["note"],
        source=row["source"],
    )
