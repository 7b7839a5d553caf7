"""MindSpore's .ckpt, plain and encrypted."""
