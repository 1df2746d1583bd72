"""Where the trainings of a sweep run: processes on this machine, or on a Ray cluster."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import torch

from rszoo._cores import cores
from rszoo.errors import RszooError
from rszoo.evaluation.on_ray import ray_cluster
from rszoo.networks.execution import resolve_device

__all__ = ["Order", "Submit", "devices_of", "local_processes", "on_ray", "slots_of", "threads_of"]

#: What a process is told, see `rszoo.training.sweep.child`.
Order = Mapping[str, Any]

#: Has some process carry out an order; the future holds its exit code.
Submit = Callable[[Order], "Future[int]"]

# The process that carries out an order.
_CHILD = [sys.executable, "-m", "rszoo.training.sweep.child"]

# Seconds that processes are given to end.
_GRACE = 30.0

# Seconds between two looks at a process.
_PAUSE = 0.2


def devices_of(device: str | None) -> list[str]:
    """Return the devices of this machine to use: those that are named, else all GPUs, or the CPU.

    Args:
        device: "cpu", "cuda" for all of them, "cuda:0,cuda:2", ...; None takes the GPUs.

    Raises:
        RszooError: a device is not there.
    """
    if device is None:
        device = resolve_device(None).type
    if device == "cuda":
        resolve_device(device)
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(resolve_device(name)) for name in device.split(",")]


def slots_of(devices: Sequence[str], *, processes: int | None, jobs: int) -> list[str]:
    """Return the device of each of the processes that run at once.

    Args:
        devices: of this machine.
        processes: how many; None: one per device or, on the CPU, as many as its cores allow.
        jobs: how many there is work for.
    """
    if processes is None:
        on_cpu = devices == ["cpu"]
        processes = max(1, cores() // (_given_threads() or 1)) if on_cpu else len(devices)
    return [devices[i % len(devices)] for i in range(min(processes, jobs))]


def threads_of(processes: int) -> int:
    """Return how many threads each of some processes gets: `OMP_NUM_THREADS`, or its share."""
    return _given_threads() or max(1, cores() // processes)


def _given_threads() -> int | None:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else None


@contextmanager
def local_processes(devices: Sequence[str]) -> Iterator[Submit]:
    """Give what runs orders on this machine, as many at once as there are devices listed.

    Those that still run when the block ends are told to end.
    """
    running: list[subprocess.Popen[bytes]] = []
    stopping = Event()
    idle: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        idle.put(device)

    def carry_out(order: Order) -> int:
        device = idle.get()
        try:
            with _started({**order, "device": device}) as process:
                running.append(process)
                if stopping.is_set():
                    _end([process])
                return process.wait()
        finally:
            idle.put(device)

    threads = ThreadPoolExecutor(len(devices), thread_name_prefix="rszoo-sweep")
    try:
        yield lambda order: threads.submit(carry_out, order)
    finally:
        stopping.set()
        threads.shutdown(wait=False, cancel_futures=True)
        _end(running)
        threads.shutdown()


def _end(running: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End processes: kindly at first."""
    for process in running:
        if process.stdin is not None:
            with suppress(OSError):  # it is gone
                process.stdin.close()
    deadline = time.monotonic() + _GRACE
    for process in running:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def _started(order: Order) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the process of an order, its output going into its log."""
    Path(order["log"]).parent.mkdir(parents=True, exist_ok=True)
    with open(order["log"], "ab") as log:
        process = subprocess.Popen(
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **order["environment"]},
            start_new_session=True,  # Ctrl-C is for the sweep, which then ends its processes
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died of something that its log tells
        process.stdin.write(f"{json.dumps(dict(order))}\n".encode())
        process.stdin.flush()
    try:
        yield process
    finally:
        _end([process])


@contextmanager
def on_ray(address: str | None, device: str | None) -> Iterator[Submit]:
    """Give what runs orders on a Ray cluster: one on each GPU, or CPU where there is no GPU.

    Raises:
        RszooError: Ray is not installed, there is no cluster, or it has no GPU that is asked for.
    """
    with ray_cluster(address) as resources:
        import ray

        gpus = resources.get("GPU", 0)
        if device == "cuda" and not gpus:
            raise RszooError("expected a Ray cluster with GPUs, got one without; use --device cpu")
        on_gpu = bool(gpus) and device != "cpu"

        @ray.remote(max_retries=-1, num_gpus=int(on_gpu), num_cpus=int(not on_gpu))
        def carry_out(order: Order) -> int:
            with _started(order) as process:
                # Ray cancels by an exception, which does not come through a system call.
                while process.poll() is None:
                    time.sleep(_PAUSE)
                return process.returncode

        begun: list[Any] = []

        def submit(order: Order) -> "Future[int]":
            begun.append(carry_out.remote({**order, "device": "cuda" if on_gpu else "cpu"}))
            return begun[-1].future()

        try:
            yield submit
        finally:
            for one in begun:
                ray.cancel(one)
            if begun:
                ray.wait(begun, num_returns=len(begun), timeout=_GRACE)
