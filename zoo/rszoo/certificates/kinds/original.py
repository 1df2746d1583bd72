"""Logs of the original research code: labels and radii, without the counts they rest on.

Cohen et al. (2019), https://github.com/locuslab/smoothing.
"""

from rszoo.certificates.columns import ORIGINAL
from rszoo.certificates.kind import Kind
from rszoo.certificates.protocol import Protocol

__all__ = ["KIND"]

KIND = Kind(
    name="original",
    columns=ORIGINAL,
    protocol=Protocol,
    details=None,
    fault=lambda row: None,
    stated=lambda row, protocol: {},
    voters=lambda certificate: (),
    counted=False,
)
