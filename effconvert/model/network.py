"""EfficientNet as one PyTorch module, built from a variant and from the facts that its weights assume.

Structure and endpoints: tensorflow/tpu, models/official/efficientnet/efficientnet_model.py. The state_dict has exactly
the names and shapes of `effconvert.architecture.canonical.tensor_shapes`.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import Block, Variant, blocks, find_variant, head_channels, stem_channels
from effconvert.model.layers import (
    BatchNorm,
    Classifier,
    CondConv2d,
    ConvNorm,
    Convolution,
    Routing,
    SqueezeExcite,
    drop_connect,
)
from effconvert.preprocessing.recipes import Recipe

_DROP_CONNECT = 0.2


class MBConvBlock(nn.Module):
    """MBConv block: expand, depthwise, squeeze and excite, project, add the input; EdgeTPU fuses the first two."""

    def __init__(self, block: Block, facts: Facts, survival: float) -> None:
        super().__init__()
        self.residual, self.survival = block.residual, survival
        expanded = block.expanded_channels
        self.routing = Routing(block.in_channels, block.experts) if block.experts else None
        self.expand = _expansion(block, facts) if block.expanded else None
        self.depthwise = None if block.fused else _depthwise(block, facts)
        self.se = SqueezeExcite(expanded, block.se_channels, facts.activation) if block.se_channels else None
        self.project = ConvNorm(
            _convolution(block, expanded, block.out_channels),
            BatchNorm(block.out_channels, facts.bn_eps),
            None,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, out_channels, ceil(H / stride), ceil(W / stride)] for `x` [N, in_channels, H, W]."""
        routing = None if self.routing is None else self.routing(x)
        result: Tensor = x
        if self.expand is not None:
            result = self.expand(result, routing)
        if self.depthwise is not None:
            result = self.depthwise(result, routing)
        if self.se is not None:
            result = self.se(result)
        result = self.project(result, routing)
        if not self.residual:
            return result
        if self.training and self.survival < 1:
            result = drop_connect(result, self.survival)
        return x + result


class Head(ConvNorm):
    """The last convolution, and the classifier, which reads its pooled output."""

    def __init__(self, in_channels: int, variant: Variant, facts: Facts) -> None:
        channels = head_channels(variant)
        super().__init__(Convolution(in_channels, channels), BatchNorm(channels, facts.bn_eps), facts.activation)
        self.dropout = nn.Dropout(variant.dropout)
        self.fc = Classifier(channels, facts.classes) if facts.classes else None

    def classify(self, pooled: Tensor) -> Tensor:
        """Return logits [N, classes] for `pooled` [N, channels], or `pooled` itself without a classifier."""
        if self.fc is None:
            return pooled
        logits: Tensor = self.fc(self.dropout(pooled))
        return logits


class EfficientNet(nn.Module):
    """The network of a variant, with given facts.

    TensorFlow's endpoints are the outputs of the modules `stem`, `blocks[i]` (`block_<i>`) and `head` (`head_1x1`).
    """

    def __init__(self, variant: Variant, facts: Facts | None = None) -> None:
        super().__init__()
        facts = facts or default_facts(variant)
        self.variant, self.facts = variant, facts
        self.recipe: Recipe | None = None  # the preprocessing of the weights, once weights are loaded
        table = blocks(variant)
        stem = stem_channels(variant)
        self.stem = ConvNorm(
            Convolution(facts.in_channels, stem, 3, stride=2, padding=facts.padding),
            BatchNorm(stem, facts.bn_eps),
            facts.activation,
        )
        self.blocks = nn.ModuleList(
            MBConvBlock(block, facts, 1 - _DROP_CONNECT * block.index / len(table)) for block in table
        )
        self.head = Head(table[-1].out_channels, variant, facts) if facts.head_conv else None

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] for normalised images `x` [N, in_channels, H, W] of any height and width.

        Without a classifier: the pooled features [N, C] of the head, or of the last block if there is no head.
        Raises RuntimeError (torch's) unless `x` has the channels, the dtype and the device of the weights.
        """
        pooled = self.forward_features(x).mean((2, 3))
        return pooled if self.head is None else self.head.classify(pooled)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map [N, C, ceil(H / 32), ceil(W / 32)] for images `x` [N, in_channels, H, W]."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return x if self.head is None else self.head(x)

    def extract_features(self, x: Tensor, levels: Iterable[int] = (1, 2, 3, 4, 5)) -> list[Tensor]:
        """Return the feature maps of `levels`, in that order, for images `x` [N, in_channels, H, W].

        Level i is [N, C, ceil(H / 2**i), ceil(W / 2**i)], TensorFlow's endpoint `reduction_<i>`: the output of the last
        block before the next stride. Blocks after the deepest level are not computed. Raises ValueError for a level
        that the network does not have.
        """
        levels = list(levels)
        ends = _level_ends(self.variant)
        if not set(levels) <= set(ends):
            raise ValueError(f"levels {levels}: {self.variant.name} has the levels {', '.join(map(str, ends))}")
        wanted = {ends[level] for level in levels}
        maps: dict[int, Tensor] = {}
        x = self.stem(x)
        for index, block in enumerate(self.blocks[: max(wanted, default=-1) + 1]):
            x = block(x)
            if index in wanted:
                maps[index] = x
        return [maps[ends[level]] for level in levels]


def create_model(
    variant: str | Variant, facts: Facts | Mapping[str, Any] | None = None, **fact_changes: Any
) -> EfficientNet:
    """Return the network of `variant` with random weights, in eval mode.

    facts: those that are not TensorFlow's official ones; `fact_changes` are facts too, such as `classes=10`. The
    initial values are those of the official code: kernels from N(0, 2 / fan_out), the classifier from
    +-1 / sqrt(classes), BatchNorm one and zero. Inside `torch.device("meta")` no memory is used. Raises LayoutMismatch
    for an unknown variant or fact, or an impossible value of a fact.

    Example: `effconvert.create_model("b0", classes=10, bn_eps=1e-5)`
    """
    chosen = find_variant(variant) if isinstance(variant, str) else variant
    given = facts if isinstance(facts, Facts) else changed(default_facts(chosen), facts or {})
    return EfficientNet(chosen, changed(given, fact_changes)).eval()


def _expansion(block: Block, facts: Facts) -> ConvNorm:
    kernel, stride, padding = 1, 1, "symmetric"
    if block.fused:
        kernel, stride, padding = block.kernel, block.stride, facts.padding
        if facts.fused_stride == "project":
            # The 1x1 projection with stride 2 reads only the pixels 0, 2, 4, … of the 3x3 with stride 1 before it,
            # which pads one pixel on each side. A 3x3 with stride 2 and the same padding computes exactly these pixels,
            # and not the other three quarters. In training, its BatchNorm then averages over these pixels only.
            padding = "symmetric"
    conv = _convolution(block, block.in_channels, block.expanded_channels, kernel, stride=stride, padding=padding)
    return ConvNorm(conv, BatchNorm(block.expanded_channels, facts.bn_eps), facts.activation)


def _depthwise(block: Block, facts: Facts) -> ConvNorm:
    channels = block.expanded_channels
    conv = _convolution(
        block, channels, channels, block.kernel, stride=block.stride, groups=channels, padding=facts.padding
    )
    return ConvNorm(conv, BatchNorm(channels, facts.bn_eps), facts.activation)


def _convolution(
    block: Block, in_channels: int, out_channels: int, kernel: int = 1, **options: Any
) -> Convolution | CondConv2d:
    if block.experts:
        return CondConv2d(in_channels, out_channels, kernel, experts=block.experts, **options)
    return Convolution(in_channels, out_channels, kernel, **options)


def _level_ends(variant: Variant) -> dict[int, int]:
    """Return {level: index of its last block}."""
    table = blocks(variant)
    ends = [block.index for block, following in pairwise(table) if following.stride > 1]
    return dict(enumerate([*ends, len(table) - 1], start=1))
