"""Inference of residual and plain networks by fused kernels, on a GPU.

`network.py` has what is used: a network that is evaluated so. A plan (`plan.py`) is made from what
a network does (`tracing.py`), packed for the kernels (`packing.py`, `kernels.py`) and run by them
(`engine.py`).
"""
