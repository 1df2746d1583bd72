"""Readers under mutated input, in a process of their own with limits.

    python tests/fuzz.py INPUTS SEED READER...

prints as JSON, a line for each reader, what became of the inputs. An input that is refused with an
RszooError, or read, is as it should be. Any other error is a failure, and so are more than 1 GB or
10 s. Inputs are a function of reader, seed and number, and are kept nowhere.
"""

import hashlib
import io
import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rszoo.errors import RszooError

BYTES = 2**30
SECONDS = 10.0
ROOT = Path(__file__).parents[1]

Read = Callable[[Path], object]
"""Reads what lies at a path, whose suffix is that of the content."""

_NUMBERS = b"0 -1 1e999 -0.0 NaN 99999999999999999999 0.1 65536 4294967295 true null".split()
_NUMBERS += [b"%d" % (2**63 + more) for more in (-2, -1, 0)]
_WORDS = [
    b'""',
    b"[]",
    b"{}",
    b'"x"',
    b"\\u0000",
    b"\xff",
    b"\n",
    b"\t",
    b": ",
    b"- ",
    b"#",
    b"---\n",
]
_WHOLES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1]


class Slow(BaseException):
    """An input took too long; no reader may swallow it."""


# Mutations


def mutated(content: bytes, source: random.Random) -> bytes:
    """Return content with a few changes."""
    for _ in range(source.choice((1, 1, 2, 4))):
        content = source.choice(_CHANGES)(content or b"\0", source)
    return content[: 2**20]


def _bit(content: bytes, source: random.Random) -> bytes:
    place = source.randrange(len(content))
    return _with(content, place, bytes([content[place] ^ 1 << source.randrange(8)]))


def _whole(content: bytes, source: random.Random) -> bytes:
    """Overwrite some bytes by a number that is an end of something."""
    size = source.choice((1, 2, 4, 8))
    number = source.choice(_WHOLES) % 256**size
    order = source.choice(("little", "big"))
    return _with(content, source.randrange(len(content)), number.to_bytes(size, order))


def _cut(content: bytes, source: random.Random) -> bytes:
    begin, end = _slice(content, source)
    return content[:begin] + content[end:]


def _twice(content: bytes, source: random.Random) -> bytes:
    begin, end = _slice(content, source)
    return content[:end] + content[begin:end] * source.choice((1, 1, 50)) + content[end:]


def _end(content: bytes, source: random.Random) -> bytes:
    return content[: source.randrange(len(content))]


def _noise(content: bytes, source: random.Random) -> bytes:
    place = source.randrange(len(content))
    return content[:place] + source.randbytes(source.randrange(1, 9)) + content[place:]


def _number(content: bytes, source: random.Random) -> bytes:
    """Replace a number in a text by one that is an end of something."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return _whole(content, source)
    begin, end = source.choice(found).span()
    return content[:begin] + source.choice(_NUMBERS) + content[end:]


def _word(content: bytes, source: random.Random) -> bytes:
    begin, end = _slice(content, source)
    return content[:begin] + source.choice(_WORDS) + content[end:]


_CHANGES = (_bit, _bit, _whole, _whole, _cut, _twice, _end, _noise, _number, _word)


def _with(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


def _slice(content: bytes, source: random.Random) -> tuple[int, int]:
    begin = source.randrange(len(content))
    return begin, min(len(content), begin + source.choice((1, 2, 8, 64)))


# Readers: whole contents by suffix, and what reads them


def _builtin(name: str) -> list[bytes]:
    import rszoo

    folder = Path(rszoo.__file__).parent / "builtin"
    return [path.read_bytes() for path in sorted(folder.glob(f"*/{name}"))]


def config() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo import networks
    from rszoo.hub.bundle import network_values
    from rszoo.hub.configs import read_config
    from rszoo.hub.configs.network import NetworkConfig

    part = {"id": "a", "digest": "0" * 64}
    common = {"name": "it", "method": "m", "dataset": "digits", "input_shape": [1, 8, 8]}
    common["class_names"] = ["a", "b"]
    composed = [
        {"kind": "cascade", "experts": [part, {**part, "sigma": 0.5}]},
        {"kind": "dual", "experts": [part, part], "router": part},
        {"kind": "ensemble", "members": [part, part], "sigma": 0.5},
        {"kind": "denoised", "denoiser": part, "classifier": part, "sigma": 0.5},
        {
            "kind": "adapted",
            "backbone": part,
            "rank": 8,
            "alpha": 16.0,
            "sigma": 0.5,
            "weights_sha256": "0" * 64,
        },
        {
            "kind": "mixed",
            "standard": part,
            "robust": part,
            "sigma": 0.5,
            "weight": {"kind": "fixed", "alpha_mix": 0.8},
        },
        {
            "kind": "mixed_standard",
            "standard": part,
            "robust": part,
            "weight": {"kind": "fixed", "alpha_mix": 0.8},
        },
    ]

    def read(path: Path) -> None:
        found = read_config(path)
        if isinstance(found, NetworkConfig):
            networks.outline(**network_values(found))

    texts = [json.dumps(common | one).encode() for one in composed]
    return [(".json", text) for text in (*_builtin("config.json")[:4], *texts)], read


def manifest() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.hub.manifest import Manifest

    def read(path: Path) -> None:
        folder = path.parent / "bundle"
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder / "manifest.json")
        found = Manifest.read(folder)
        found.check(folder, only=())
        found.to_json()

    return [(".json", text) for text in _builtin("manifest.json")[:6]], read


def log() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.evaluation.log import read_log
    from rszoo.evaluation.metrics import summary

    original = b"idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.51\t1\t0:00:10\n"
    logs = [b"\n".join(text.split(b"\n")[:20]) + b"\n" for text in _builtin("certificates.tsv")]
    protocols = _builtin("certificates.json")

    def read(path: Path) -> None:
        summary(read_log(path, nominal=True), (0.0, 0.5))
        for stated in protocols[:2]:
            path.with_suffix(".json").write_bytes(stated)
            with suppress(RszooError):  # most are about another log
                summary(read_log(path, nominal=True), (0.0, 0.5))
        path.with_suffix(".json").unlink()

    return [(".tsv", text) for text in (original, *logs[:4])], read


def attack_log() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.evaluation.attack_log import AttackLog, read_attack_log

    stated: dict[str, object] = {"kind": "attack", "seed": 1}
    text = b"idx\tlabel\tclean\tattacked\tdistance\ttime\n"
    text += b"0\t3\t3\t5\t0.1\t0.02\n7\t1\t-1\t-1\t0.0\t1e-05\n"
    own = b"idx\tlabel\tclean\tattacked\tdistance\ttime\tinput\n0\t-1\t3\t5\t0.1\t0.02\ta b.png\n"

    def read(path: Path) -> None:
        path.with_suffix(".json").write_text(json.dumps(stated))
        try:
            read_attack_log(path)
            with AttackLog(path, stated, resume=True) as log:
                assert len({row.idx for row in log.rows}) == len(log.rows)
        finally:
            path.with_suffix(".json").unlink()

    return [(".tsv", text), (".tsv", own)], read


def attack_protocol() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.evaluation.attack_log import read_attack_log
    from rszoo.evaluation.under_attack import under_attack

    text = b"idx\tlabel\tclean\tattacked\tdistance\ttime\n0\t3\t3\t5\t0.1\t0.02\n"
    stated: dict[str, object] = {
        "kind": "attack",
        "inputs": {"name": "photos", "split": "test", "size": 9, "step": 1, "count": 2},
        "attack": {"name": "pgd", "norm": "linf", "eps": 0.1, "steps": 20},
        "alpha": 0.001,
    }

    def read(path: Path) -> None:
        path.with_suffix(".tsv").write_bytes(text)
        try:
            rows, found = read_attack_log(path.with_suffix(".tsv"))
            one = under_attack(path, rows, found)
            assert str(one.attacked).isprintable()
            assert one.how.isprintable()
            assert 0 <= one.interval[0] <= one.accuracy <= one.interval[1] <= 1
        finally:
            path.with_suffix(".tsv").unlink()

    return [(".json", json.dumps(stated).encode())], read


def protocol() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.evaluation.protocol import read_protocol

    return [(".json", text) for text in _builtin("certificates.json")[:6]], read_protocol


def recipe() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.training.recipes.files import load_recipe

    files = [path.read_bytes() for path in sorted((ROOT / "recipes").glob("*.yaml"))]
    return [(".yaml", text) for text in (*files, *_builtin("recipe.yaml")[:4])], load_recipe


def card() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.hub_server import card as cards
    from rszoo.hub_server.certified import certified
    from rszoo.hub_server.markdown import render

    metric = "{type: acr, value: 0.5, args: {sigma: 0.25, n: 1000, alpha: 0.001, radius: 0.5}}"
    text = f"""---
license: mit
tags: [a, b]
datasets:
- mnist
model-index:
- name: it
  results:
  - dataset: {{name: mnist, type: mnist}}
    metrics:
    - {metric}
---
# A *card*

| a | b |
|---|---|
| 1 | `x` |

1. one
   - [two](https://example.org "three") ![four](five.png)

> <b>five</b> &amp; ~~six~~

    seven
"""

    def read(path: Path) -> None:
        content = path.read_bytes().decode("utf-8", "replace")
        try:
            metadata, body = cards.front_matter(content)
        except ValueError:  # so it is for its callers
            metadata, body = {}, content
        cards.tags(metadata)
        certified(metadata)
        render(body, base="/")

    return [(".md", text.encode())], read


def picture() -> tuple[list[tuple[str, bytes]], Read]:
    from PIL import Image, ImageCms

    from rszoo.data import read_images

    def saved(mode: str, form: str, **options: Any) -> tuple[str, bytes]:
        file = io.BytesIO()
        image = Image.effect_noise((12, 10), 50).convert(mode)
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(file, form, exif=exif, **options)
        return f".{form.lower()}", file.getvalue()

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    whole = [
        *(saved("RGB", form, icc_profile=profile) for form in ("PNG", "JPEG", "TIFF")),
        *(saved(mode, "PNG") for mode in ("1", "L", "P", "RGB")),
        *(saved(mode, "JPEG") for mode in ("L", "RGB")),
        saved("RGB", "JPEG", progressive=True),
        *(saved(mode, form) for mode in ("L", "RGB") for form in ("BMP", "GIF", "PPM", "TIFF")),
        saved("RGB", "TIFF", compression="tiff_lzw"),
        saved("RGB", "WEBP"),
        saved("RGB", "WEBP", lossless=True),
    ]
    shape = (3, 16, 16)
    return whole, lambda path: read_images([path], shape=shape, resize=True)


def array() -> tuple[list[tuple[str, bytes]], Read]:
    import numpy as np

    from rszoo.data import load, read_images

    pixels = np.random.default_rng(0).integers(0, 256, (10, 1, 4, 4), dtype=np.uint8)
    labels = np.arange(10) % 2

    def saved(save: Callable[..., None], *given: Any, **named: Any) -> bytes:
        file = io.BytesIO()
        save(file, *given, **named)
        return file.getvalue()

    def read(path: Path) -> None:
        if path.suffix == ".npy":
            read_images([path], shape=(1, 4, 4))
        else:
            load(path, "train")

    arrays = {"images": pixels, "labels": labels, "class_names": np.array(["a", "b"])}
    halves = {f"{split}_images": pixels / 255 for split in ("train", "test")}
    halves |= {f"{split}_labels": labels for split in ("train", "test")}
    return [
        (".npy", saved(np.save, pixels)),
        (".npy", saved(np.save, (pixels / 255).astype(">f4"))),
        (".npz", saved(np.savez, **arrays)),
        (".npz", saved(np.savez_compressed, **halves)),
    ], read


def checkpoint() -> tuple[list[tuple[str, bytes]], Read]:
    import numpy as np
    import torch
    from safetensors.torch import save

    from rszoo.exchange.checkpoint import read_checkpoint
    from rszoo.exchange.weights import put_weights
    from rszoo.networks import build

    network = build("small_cnn", input_shape=(1, 8, 8), num_classes=2)
    weights = {name: tensor.clone() for name, tensor in network[1].state_dict().items()}

    def saved(*, archive: bool) -> bytes:
        file = io.BytesIO()
        content = {"state_dict": weights, "acc": np.float64(1), "epoch": 3, "arch": "a"}
        torch.save(content, file, _use_new_zipfile_serialization=archive)
        return file.getvalue()

    def read(path: Path) -> None:
        put_weights(network, read_checkpoint(path), normalization=None)

    whole = [(".pth", saved(archive=True)), (".pth", saved(archive=False))]
    return [*whole, (".safetensors", save(weights))], read


def weights() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo.hub.bundle import open_bundle
    from rszoo.hub.catalog import find

    source = find("builtin/digits-gaussian-0.25").path

    def read(path: Path) -> None:
        folder = path.parent / "bundle"
        if not folder.exists():
            shutil.copytree(source, folder)
        shutil.copy(path, folder / "model.safetensors")
        said = json.loads((folder / "manifest.json").read_text())
        content = path.read_bytes()
        said["files"]["model.safetensors"] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
        (folder / "manifest.json").write_text(json.dumps(said))
        open_bundle(folder).network()

    return [(".safetensors", (source / "model.safetensors").read_bytes())], read


def onnx_graph() -> tuple[list[tuple[str, bytes]], Read]:
    from onnx_files import model, node

    from rszoo.networks.onnx_graph import check_graph

    whole = [model(), model(node("Relu", "logits")), model(opset=13)]
    return [(".onnx", one.SerializeToString()) for one in whole], lambda path: check_graph(
        path.read_bytes()
    )


def published() -> tuple[list[tuple[str, bytes]], Read]:
    from rszoo import networks
    from rszoo.exchange.published import source_of

    images: dict[str, Any] = {"input_shape": (3, 32, 32), "num_classes": 2}
    config = {"model_type": "vit", "num_hidden_layers": 1}
    networks.outline("timm:test_vit", **images)  # imports what takes long
    networks.outline("transformers:it", **images, config=config)

    def read(path: Path) -> None:
        folder = path.parent / "folder"
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").touch()
        shutil.copy(path, folder / "config.json")
        shutil.copy(path, folder / "preprocessor_config.json")
        for name in ("timm:test_vit", "transformers:it"):
            with suppress(RszooError):
                networks.outline(name, **images, **source_of(folder, name, sigma=0.5).options)

    of_vit = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
    }
    of_swin = {"embed_dim": 4, "depths": [1], "num_heads": [2], "window_size": 4}
    of_timm = {"pretrained_cfg": {"mean": [0.5], "input_size": [3, 32, 32], "label_names": ["a"]}}
    processor = {"do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 1]}
    whole = [
        {"model_type": "vit", **of_vit, **processor, "id2label": {"0": "a", "1": "b"}},
        {"model_type": "swin", **of_swin, "hidden_act": "gelu", "num_channels": 3},
        {"architecture": "test_vit", **of_timm},
    ]
    return [(".json", json.dumps(one).encode()) for one in whole], read


def diffusion() -> tuple[list[tuple[str, bytes]], Read]:
    from safetensors.numpy import save_file

    from rszoo.exchange.published import source_of

    unet = {"_class_name": "UNet2DModel", "sample_size": 32, "layers_per_block": 1}
    schedule = {"num_train_timesteps": 100, "beta_end": 0.2, "prediction_type": "epsilon"}
    whole = [
        unet | {"_diffusers_version": "0.1", "attention_head_dim": None, "norm_eps": 1e-6},
        {"_class_name": "DDPMScheduler", **schedule, "trained_betas": None},
        {"_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.5], "clip_sample": True},
        {"_class_name": "CMStochasticIterativeScheduler", "sigma_min": 0.002, "sigma_data": 0.5},
    ]

    def read(path: Path) -> None:
        folder = path.parent / "folder"
        folder.mkdir(exist_ok=True)
        save_file({}, folder / "diffusion_pytorch_model.safetensors")
        given = (whole[0], whole[1])
        for name, content in zip(("config", "scheduler_config"), given, strict=True):
            (folder / f"{name}.json").write_text(json.dumps(content))
        of_scheduler = b"Scheduler" in path.read_bytes()
        shutil.copy(path, folder / f"{'scheduler_' * of_scheduler}config.json")
        source_of(folder, "diffusers:it", sigma=0.5)

    return [(".json", json.dumps(one).encode()) for one in whole], read


READERS = {
    one.__name__: one
    for one in (
        config,
        manifest,
        log,
        attack_log,
        attack_protocol,
        protocol,
        recipe,
        card,
        picture,
        array,
        checkpoint,
        weights,
        onnx_graph,
        published,
        diffusion,
    )
}


# The run


def _inputs(name: str, count: int, seed: int) -> Iterator[tuple[int, str, bytes]]:
    whole, _ = READERS[name]()
    for number in range(count):
        source = random.Random(f"{name} {seed} {number}")
        suffix, content = source.choice(whole)
        yield number, suffix, mutated(content, source)


def _late(signum: int, frame: object) -> None:
    raise Slow


def _outcome(read: Read, path: Path, *, whole: bool = False) -> str | None:
    """Return what was wrong, without any of the input; None if it was read or, broken, refused."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        read(path)
    except RszooError as error:
        return f"refused: {error}" if whole else None
    except Slow:
        return f"took more than {SECONDS:g} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _limit_memory() -> None:
    """Let this process take so much more than it has."""
    status = Path("/proc/self/statm")
    used = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    if used:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(name: str, count: int, seed: int) -> dict[str, Any]:
    """Return what became of the inputs of a reader."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    whole, read = READERS[name]()
    signal.signal(signal.SIGALRM, _late)
    failures: list[str] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number, (suffix, content) in enumerate(whole):  # also imports what is imported late
            path = Path(folder, f"whole{number}{suffix}")
            path.write_bytes(content)
            if wrong := _outcome(read, path, whole=True):
                failures.append(f"whole input {number}: {wrong}")
        _limit_memory()
        before = _peak()
        for number, suffix, content in _inputs(name, count, seed):
            path = Path(folder, f"input{suffix}")
            path.write_bytes(content)
            started = time.monotonic()
            if wrong := _outcome(read, path):
                failures.append(f"input {number}: {wrong}")
            slowest = max(slowest, time.monotonic() - started)
    more = _peak() - before
    if more > BYTES:
        failures.append(f"took {more:,} bytes")
    return {
        "reader": name,
        "inputs": count,
        "failures": failures,
        "bytes": more,
        "slowest": slowest,
    }


if __name__ == "__main__":
    _, inputs, of_the_day, *readers = sys.argv
    for one in readers:
        print(json.dumps(main(one, int(inputs), int(of_the_day))), flush=True)
