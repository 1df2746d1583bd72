"""How nearly the draws of a log can be repeated here: equally, almost, or not at all.

Noise by counter is a function of seed and input, to the last bit, wherever it is drawn; that of
torch's generator is one on CPUs, and on GPUs of one size (`rszoo.smoothing.schemes`). What a
network answers to it is a function of the last bits of its arithmetic too, where two classes are
as good as equally likely: these depend on the device, precision, versions, batch size, processor
and number of threads. So much is in a protocol.
"""

from dataclasses import dataclass

from rszoo.certificates.kinds import kind, protocol_of
from rszoo.certificates.protocol import Machine, Protocol
from rszoo.evaluation.certify import protocol
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.machine import this_machine, versions
from rszoo.evaluation.protocol import differing
from rszoo.smoothing import schemes
from rszoo.smoothing.interface import Budget, Classifier

__all__ = ["FLIPS", "FLIPS_ELSEWHERE", "Repetition", "repetition"]

#: By precision, the share of an input's draws that another CPU may answer otherwise. Measured on
#: four models of digits, 90 images each and 3,000 draws of an image, against AVX512, 2 threads,
#: 1000 images at once: none of 1,080,000 draws with one thread, with 125 at once, with
#: ATEN_CPU_CAPABILITY=avx2 or default, or with oneDNN and MKL held to AVX2; nor in bfloat16 with
#: 125 at once and oneDNN held to AVX2. What is left is room for deeper networks.
FLIPS = {"float32": 1e-4, "bfloat16": 1e-3}

#: The same for any other device, where nothing was measured. Between float32 and bfloat16 on the
#: CPU it was 0.0018, and 0.006 for the image that suffered most.
FLIPS_ELSEWHERE = 0.02


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """How nearly a classifier here repeats the draws of a log.

    Attributes:
        budget: the log's; None where its draws cannot be repeated.
        flips: the share of an input's draws that may be answered otherwise; 0 for none.
        because: why that is not 0, or why they cannot be repeated; empty otherwise.
    """

    budget: Budget | None = None
    flips: float = 0.0
    because: str = ""


def repetition(classifier: Classifier, log: LogTable) -> Repetition:
    """Return how nearly a classifier repeats the draws of a log.

    Equally where the protocol that it would write is the log's, with a machine that is this one,
    on a CPU: a GPU chooses its kernels as it runs. Almost where the noise at least is the same,
    which noise by counter is between a GPU and a CPU, too.

    Args:
        classifier: the one that the log is about, run as its protocol says.
        log: with counts.
    """
    stated = log.protocol
    budget = None if stated is None else _budget(stated)
    if stated is None or budget is None:
        return Repetition(because="its protocol does not state n0, n, alpha and seed")
    mine = _protocol_here(classifier, budget, stated)
    if because := _hindrance(stated, mine):
        return Repetition(because=because)
    because = _differences(stated, mine)
    if not because:
        return Repetition(budget=budget)
    both = {mine.evaluation.device, stated.evaluation.device}
    on_cpu = both == {"cpu"} and stated.evaluation.precision is not None
    flips = FLIPS[mine.evaluation.precision or ""] if on_cpu else FLIPS_ELSEWHERE
    return Repetition(budget=budget, flips=flips, because=because)


def _budget(stated: Protocol) -> Budget | None:
    """Return what a protocol states of draws, alpha and seed; None if it leaves out any."""
    n0, n, alpha, seed = stated.n0, stated.n, stated.alpha, stated.seed
    if n0 is None or n is None or alpha is None or seed is None:
        return None
    return Budget(
        n0=n0,
        n=n,
        alpha=alpha,
        seed=seed,
        radii=stated.radii,
        tolerance=stated.tolerance,
        bound=kind(stated.kind).bound,
        n_max=stated.n_max,
        top_k=stated.top_k,
    )


def _protocol_here(classifier: Classifier, budget: Budget, stated: Protocol) -> Protocol:
    """Return the protocol of a log if this classifier made it here, of the same inputs."""
    made = protocol(
        classifier,
        budget,
        model={},
        inputs={},
        versions=versions(),
        machine=this_machine(classifier.device),
    )
    kept = {name: stated.values().get(name) for name in ("model", "inputs")}
    return protocol_of({**made.values(), **kept})


def _hindrance(stated: Protocol, mine: Protocol) -> str:
    """Return why the log's noise cannot be drawn here; empty if it can."""
    if mine.kind != stated.kind:
        return f"certificates of kind {stated.kind!r} rest on more than their seed"
    for name in ("noise", "device"):  # kinds of device have generators of their own
        there, here = getattr(stated.evaluation, name), getattr(mine.evaluation, name)
        if here != there:
            return f"its noise has {name} {there!r}, here it is {here!r}"
        if schemes.is_same_everywhere(there):
            return ""
    if mine.evaluation.device != "cpu":
        return _dealt_otherwise(stated.machine, mine.machine)
    return ""


def _dealt_otherwise(there: Machine | None, here: Machine | None) -> str:
    """Return why the generators of two GPUs draw other noise; empty if they draw the same.

    torch's generator for CUDA deals its numbers to as many threads as the GPU has, from a stream
    for each (distribution_elementwise_grid_stride_kernel in ATen): the noise of one seed, of more
    numbers than threads, is other noise on a GPU with more of them.
    """
    before, now = (None if one is None else one.gpu_threads for one in (there, here))
    if before is None:
        return "its noise is of a GPU, and its protocol does not state how many threads that has"
    return "" if before == now else f"its noise is of a GPU with {before} threads, here are {now}"


def _differences(stated: Protocol, mine: Protocol) -> str:
    """Return what differs here from where the log was made; empty if answers must be equal."""
    if mine.evaluation.device != "cpu":
        return "a GPU chooses its kernels as it runs"
    found = [f"{name} was {there}, is {here}" for name, there, here in differing(stated, mine)]
    if stated.machine is None:
        found.append("its machine is not stated")
    elif mine.machine is not None and mine.machine != stated.machine:
        there, here = (
            one.model_dump_json(exclude_none=True) for one in (stated.machine, mine.machine)
        )
        found.append(f"machine was {there}, is {here}")
    return "; ".join(found)
