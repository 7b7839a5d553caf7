"""Move EfficientNet weights between frameworks, and prove that they are still the same network.

Public names are imported when they are first used: `import effconvert` waits for neither numpy nor torch.
"""

from effconvert.version import VERSION as __version__

TYPE_CHECKING = False  # not from typing, which is slow to import: a moment in which Ctrl-C would be a traceback
if TYPE_CHECKING:
    from effconvert import errors, validate
    from effconvert.api import cost, diff, verify, verify_deployed
    from effconvert.conversion.difference import Difference
    from effconvert.conversion.loading import load_model
    from effconvert.conversion.steps import Report, convert
    from effconvert.deployed.files import DeployedFile, inspect_deployed
    from effconvert.formats import Checkpoint, TensorInfo, open_checkpoint
    from effconvert.hub.published_conversion import convert_published
    from effconvert.identify.inspection import Inspection, inspect
    from effconvert.maps.layouts import add_maps
    from effconvert.model import EfficientNet, create_model
    from effconvert.options import Options
    from effconvert.preprocessing.pipeline import preprocess
    from effconvert.preprocessing.recipes import Recipe
    from effconvert.validate.cost_report import CostReport
    from effconvert.verification.deployed_procedure import DeployedVerification
    from effconvert.verification.inputs import Images
    from effconvert.verification.procedure import Verification

__all__ = [
    "Checkpoint",
    "CostReport",
    "DeployedFile",
    "DeployedVerification",
    "Difference",
    "EfficientNet",
    "Images",
    "Inspection",
    "Options",
    "Recipe",
    "Report",
    "TensorInfo",
    "Verification",
    "__version__",
    "add_maps",
    "convert",
    "convert_published",
    "cost",
    "create_model",
    "diff",
    "errors",
    "inspect",
    "inspect_deployed",
    "load_model",
    "open_checkpoint",
    "preprocess",
    "validate",
    "verify",
    "verify_deployed",
]

# {public name: the module that has it}
_HOMES = {
    "Checkpoint": "effconvert.formats",
    "CostReport": "effconvert.validate.cost_report",
    "DeployedFile": "effconvert.deployed.files",
    "DeployedVerification": "effconvert.verification.deployed_procedure",
    "Difference": "effconvert.conversion.difference",
    "EfficientNet": "effconvert.model",
    "Images": "effconvert.verification.inputs",
    "Inspection": "effconvert.identify.inspection",
    "Options": "effconvert.options",
    "Recipe": "effconvert.preprocessing.recipes",
    "Report": "effconvert.conversion.steps",
    "TensorInfo": "effconvert.formats",
    "Verification": "effconvert.verification.procedure",
    "add_maps": "effconvert.maps.layouts",
    "convert": "effconvert.conversion.steps",
    "convert_published": "effconvert.hub.published_conversion",
    "cost": "effconvert.api",
    "create_model": "effconvert.model",
    "diff": "effconvert.api",
    "inspect": "effconvert.identify.inspection",
    "inspect_deployed": "effconvert.deployed.files",
    "load_model": "effconvert.conversion.loading",
    "open_checkpoint": "effconvert.formats",
    "preprocess": "effconvert.preprocessing.pipeline",
    "verify": "effconvert.api",
    "verify_deployed": "effconvert.api",
}
_MODULES = ("errors", "validate")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"effconvert.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'effconvert' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, also those that were not used yet."""
    return sorted(__all__)
