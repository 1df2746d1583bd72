"""Signatures of bundles by OpenSSF's model-signing, with a key of one's own (`rszoo[sign]`).

The signature covers the manifest and every file that it lists, and no card: `model.sig` is what
`model_signing sign key` makes of a folder of these files.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.files import MANIFEST, SIGNATURE

__all__ = ["check_signature", "is_signed_with", "signature"]


def signature(bundle: Bundle, *, private_key: Path) -> bytes:
    """Return the signature of a bundle.

    Args:
        bundle: what to sign.
        private_key: PEM file of an elliptic-curve key without a password.

    Raises:
        RszooError: model-signing is not installed, or the key cannot be used.
    """
    signing = _model_signing().signing
    with _only_signed_files(bundle) as folder, tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / SIGNATURE
        try:
            config = signing.Config().use_elliptic_key_signer(private_key=private_key)
            config.sign(folder, path)
        except (OSError, TypeError, ValueError) as error:
            raise RszooError(
                f"{private_key}: expected the PEM file of an elliptic-curve private key without a "
                f"password, got {error}"
            ) from error
        return path.read_bytes()


def check_signature(bundle: Bundle, signed: bytes, *, key: Path) -> None:
    """Check that the owner of a public key signed this bundle.

    Args:
        bundle: whose files have been checked against its manifest.
        signed: the content of `model.sig`.
        key: PEM file of the public key.

    Raises:
        IntegrityError: the signature is another key's, or of other files.
        RszooError: model-signing is not installed, or the key cannot be used.
    """
    verifying = _model_signing().verifying
    with _only_signed_files(bundle) as folder, tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / SIGNATURE
        path.write_bytes(signed)
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=key)
        except (OSError, TypeError, ValueError) as error:
            raise RszooError(
                f"{key}: expected the PEM file of an elliptic-curve public key, got {error}"
            ) from error
        try:
            config.verify(folder, path)
        except Exception as error:  # whatever a parser makes of somebody's bytes
            raise IntegrityError(
                SIGNATURE,
                expected=f"a signature of {bundle.id} by the owner of {key}",
                actual=str(error) or type(error).__name__,
                hint="do not trust this model; ask its publisher",
            ) from error


def is_signed_with(bundle: Bundle, signed: bytes, *, private_key: Path) -> bool:
    """Return whether a signature of a bundle was made with a private key."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(private_key.read_bytes(), password=None).public_key()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "public.pem"
        path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        try:
            check_signature(bundle, signed, key=path)
        except IntegrityError:
            return False
    return True


@contextmanager
def _only_signed_files(bundle: Bundle) -> Iterator[Path]:
    """Give a folder that holds the manifest and the files that it lists, and nothing else."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        folder.mkdir()
        for file in (MANIFEST, *bundle.manifest.files):
            source, copy = (bundle.path / file).resolve(), folder / file
            try:
                os.link(source, copy)
            except OSError:  # another file system
                shutil.copyfile(source, copy)
        yield folder


def _model_signing():  # noqa: ANN202
    try:
        import model_signing.signing
        import model_signing.verifying
    except ImportError as error:
        raise RszooError(
            f"signatures need packages that are missing ({error.name}): pip install 'rszoo[sign]'"
        ) from error
    return model_signing
