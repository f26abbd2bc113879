"""Train one model: warm-up, decay to zero, checkpoints, and the loss on held-out documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bayesmoe.files import written_whole
from sweep.language import Language
from sweep.model import Model, initial, losses

DOCUMENTS = 4
"""Documents of a step: few, as runs are short and small models learn more from many steps."""

STEPS = 64
"""Steps of one call into XLA; a run has a multiple of them."""

CALL_TOKENS = DOCUMENTS * STEPS * 64
"""Tokens of a call."""

BALANCE = 0.01
"""Weight of the load-balancing loss (arXiv:2101.03961, section 2.2)."""

EVALUATION = 4096
"""Held-out documents, the same for every run."""

TRAINING_STREAM, EVALUATION_STREAM = 1, 0

CHECKPOINT_S = 30.0

State = tuple[Any, Any]


@dataclass(frozen=True)
class Run:
    """What is to be trained.

    Parameters
    ----------
    model : Model
        Shape.
    tokens : int
        Training tokens, a multiple of ``CALL_TOKENS``.
    learning_rate : float
        Highest one.
    seed : int
        Of the documents and, with the configuration, of the initial parameters.
    """

    model: Model
    tokens: int
    learning_rate: float
    seed: int = 0

    @property
    def run_id(self) -> str:
        """A name that says all."""
        m = self.model
        extra = "".join(
            f"-{mark}{n}"
            for mark, n, usual in (("k", m.top_k, 2), ("g", m.granularity, 2), ("s", m.shared_experts, 0))
            if n != usual
        )
        return f"d{m.d_model}-l{m.num_layers}-e{m.num_experts}{extra}-t{self.tokens}-lr{self.learning_rate:.3g}-r{self.seed}"


def initial_seed(run: Run) -> int:
    """Seed of the initial parameters: another for each configuration, so that the luck of one is not that of its neighbors in the design."""
    own = (run.seed, run.model.d_model, run.model.num_experts, run.tokens)
    return int(np.random.SeedSequence(own).generate_state(1)[0])


def learning_rates(run: Run) -> np.ndarray:
    """Learning rate of every step: up over the first twentieth, then down to zero along a cosine."""
    steps = run.tokens // (DOCUMENTS * 64)
    at, warm = np.arange(1, steps + 1), max(1, steps // 20)
    down = 0.5 * (1.0 + np.cos(np.pi * (at - warm) / (steps - warm)))
    return (run.learning_rate * np.where(at < warm, at / warm, down)).astype(np.float32)


def optimizer() -> optax.GradientTransformation:
    """Adam with clipped gradients, before the learning rate."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b1=0.9, b2=0.95))


@cache
def trainer(model: Model) -> Callable[[State, Any, Any], tuple[State, Any]]:
    """``STEPS`` steps: from the state, their documents and learning rates to the state and means of loss and balance."""
    adam = optimizer()

    def objective(parameters: Any, documents: Any) -> tuple[Any, Any]:
        of_tokens, balance = losses(model, parameters, documents)
        return of_tokens.mean() + BALANCE * balance, jnp.stack([of_tokens.mean(), jnp.float32(balance)])

    def step(state: State, given: tuple[Any, Any]) -> tuple[State, Any]:
        parameters, moments = state
        documents, rate = given
        gradient, seen = jax.grad(objective, has_aux=True)(parameters, documents)
        updates, moments = adam.update(gradient, moments)
        return (jax.tree.map(lambda p, u: p - rate * u, parameters, updates), moments), seen

    @partial(jax.jit, donate_argnums=0)
    def call(state: State, documents: Any, rates: Any) -> tuple[State, Any]:
        state, seen = jax.lax.scan(step, state, (documents, rates))
        return state, seen.mean(axis=0)

    return call


@cache
def held_out(language: Language) -> tuple[np.ndarray, float]:
    """Documents of evaluation, and how much more than its entropy the language itself is surprised by them, nats per token."""
    documents = language.documents(EVALUATION, (EVALUATION_STREAM,))
    return documents, float(language.surprises(documents).mean() - language.entropy())


@cache
def evaluator(model: Model) -> Callable[[Any, Any], Any]:
    """Means of loss over batches of documents, shape (batches,)."""

    def batch(parameters: Any, documents: Any) -> Any:
        return parameters, losses(model, parameters, documents)[0].mean()

    return jax.jit(lambda parameters, documents: jax.lax.scan(batch, parameters, documents)[1])


def evaluate(model: Model, parameters: Any, language: Language) -> dict[str, float]:
    """Loss on the held-out documents, nats per token, less what chance in drawing them adds, and its standard error."""
    documents, luck = held_out(language)
    of_batches = np.asarray(evaluator(model)(parameters, documents.reshape(-1, 16, language.length)), dtype=float)
    # The language's own surprise varies in step with the model's, so the error is that of the difference.
    own = language.surprises(documents).reshape(len(of_batches), -1).mean(axis=1)
    error = (of_batches - own).std(ddof=1) / len(of_batches) ** 0.5
    return {"loss": of_batches.mean() - luck, "loss_se": error}


def saved(path: Path, state: State, done: int, spent: tuple[float, float]) -> None:
    """Write a checkpoint, whole or not at all."""
    leaves = {f"leaf{at}": np.asarray(leaf) for at, leaf in enumerate(jax.tree.leaves(state))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as whole, open(whole, "wb") as file:
        np.savez(file, done=done, spent=np.asarray(spent), **leaves)


def loaded(path: Path, state: State) -> tuple[State, int, tuple[float, float]]:
    """State, calls done and seconds spent of a checkpoint; those of the beginning where there is none."""
    if not path.exists():
        return state, 0, (0.0, 0.0)
    with np.load(path) as stored:
        leaves = [jnp.asarray(stored[f"leaf{at}"]) for at in range(len(jax.tree.leaves(state)))]
        wall, cpu = stored["spent"]
        return jax.tree.unflatten(jax.tree.structure(state), leaves), int(stored["done"]), (float(wall), float(cpu))


def train(
    run: Run, language: Language, checkpoint: Path | None = None, *, stop_after: int | None = None
) -> dict[str, Any] | None:
    """Train and evaluate; a checkpoint is written every half minute, gone on from, and removed at the end.

    Parameters
    ----------
    run : Run
        What to train.
    language : Language
        What is learned.
    checkpoint : Path, optional
        File of the checkpoint.
    stop_after : int, optional
        Calls into XLA after which to leave, with a checkpoint, as a killed run does.

    Returns
    -------
    dict or None
        Loss and what was seen on the way; None where it stopped before the end.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    rates = learning_rates(run).reshape(-1, STEPS)
    parameters = initial(run.model, initial_seed(run))
    state, done, (wall, cpu) = (parameters, optimizer().init(parameters)), 0, (0.0, 0.0)
    if checkpoint is not None:
        state, done, (wall, cpu) = loaded(checkpoint, state)
    call, written, seen = trainer(run.model), time.monotonic(), np.zeros(2)

    def spent() -> tuple[float, float]:
        return wall + time.monotonic() - began, cpu + time.process_time() - cpu_began

    for at in range(done, len(rates)):
        documents = language.documents(STEPS * DOCUMENTS, (TRAINING_STREAM, run.seed, at))
        state, last = call(state, documents.reshape(STEPS, DOCUMENTS, language.length), rates[at])
        seen = np.asarray(last)
        leaving = stop_after is not None and at + 1 == done + stop_after
        if checkpoint is not None and (leaving or time.monotonic() - written > CHECKPOINT_S):
            saved(checkpoint, state, at + 1, spent())
            written = time.monotonic()
        if leaving:
            return None
    row = evaluate(run.model, state[0], language)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    wall_s, cpu_s = spent()
    return {
        **row,
        "balance": float(seen[1]),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
    }


def configuration(run: Run) -> dict[str, Any]:
    """The settings of a run, flat."""
    return {
        "run_id": run.run_id,
        **asdict(run.model),
        "tokens": run.tokens,
        "learning_rate": run.learning_rate,
        "seed": run.seed,
    }
