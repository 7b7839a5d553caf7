"""Move EfficientNet weights between frameworks, and prove that they are still the same network."""

from typing import TYPE_CHECKING, Any

from effconvert.version import VERSION as __version__

if TYPE_CHECKING:
    from effconvert.conversion.loading import load_model
    from effconvert.conversion.steps import convert
    from effconvert.formats import open_checkpoint
    from effconvert.hub.published_conversion import convert_published
    from effconvert.maps.layouts import add_maps
    from effconvert.model import create_model
    from effconvert.verification.procedure import verify

__all__ = [
    "__version__",
    "add_maps",
    "convert",
    "convert_published",
    "create_model",
    "load_model",
    "open_checkpoint",
    "verify",
]

_HOMES = {
    "add_maps": "effconvert.maps.layouts",
    "convert": "effconvert.conversion.steps",
    "convert_published": "effconvert.hub.published_conversion",
    "open_checkpoint": "effconvert.formats",
    "create_model": "effconvert.model",
    "load_model": "effconvert.conversion.loading",
    "verify": "effconvert.verification.procedure",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used, so that `effconvert --help` waits for neither numpy nor torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'effconvert' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
