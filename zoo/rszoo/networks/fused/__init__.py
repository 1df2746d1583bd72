"""Residual and plain networks by fused kernels, on a GPU: inference, and gradients for attacks.

`network.py` and `attackable.py` have what is used: a network that is evaluated so, and one whose
attacks are. An outline (`outline.py`) is read from what a network does (`tracing.py`); the plan of
its weights at one moment (`plan.py`) is packed for the kernels (`packing.py`, `launching.py`,
`kernels.py`) and run by them, forwards (`engine.py`) or back as well (`gradient.py`).
"""
