"""The names of the engines, for options; nothing is imported for them."""

AUTO, TORCH = "auto", "torch"
ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
# In the order in which they are tried; of two that are about as fast, the first is taken.
OTHERS = (ONNXRUNTIME, OPENVINO)
ENGINES = (AUTO, TORCH, *OTHERS)
# With fewer images, choosing an engine takes longer, some 5 s, than the fastest one saves: 5 to 10 ms an image of B0.
FEWEST_IMAGES = 1000
