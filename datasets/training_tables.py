"""Public tables of training throughput as points, pairs and whole runs; see the data card ``training_throughput.md``.

The tables' models include shapes that :class:`bayesmoe.architecture.Shape` does not know (Mamba layers, multi-token prediction): what a
point needs of them is counted here from ``training_architectures.csv``, and FLOP per token are those of the table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

from bayesmoe.architecture import Shape, public_shape
from bayesmoe.costs.hardware import ACCELERATORS
from bayesmoe.costs.training.calibration import TODAY
from bayesmoe.costs.training.coefficients import NAMES, PRIOR, log_design
from bayesmoe.costs.training.fit_calibration import UNEVENNESS, Pairs, Runs
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.layouts import Cluster, layouts, room
from bayesmoe.costs.training.memory import training_memory
from bayesmoe.costs.training.step import Chip, Slopes, Software
from bayesmoe.costs.training.throughput import seconds_per_token
from bayesmoe.costs.training.trained_model import TrainedModel, trained_shapes
from bayesmoe.costs.training_measurements import Rows, TrainingPoints, chips_of
from bayesmoe.errors import InputError
from bayesmoe.specs import from_mapping

UNUSABLE = (
    "precision_inferred",
    "gpu_inferred",
    "source_inconsistent",
    "tokens_corrected",
    "functional_run_not_tuned",
    "known_regression",
)
"""Flags of rows that stay out of fits (card, caveats 2 and 3); the others say what is unusual of a sound row."""

HARDWARE = {
    "A100-40GB": "A100-SXM-40GB",
    "A100-80GB": "A100-SXM-80GB",
    "H100": "H100-SXM",
    "H200": "H200-SXM",
    "B200": "B200-SXM",
    "B300": "B300-SXM",
    "GB200": "GB200",
    "GB300": "GB300",
}
"""Chips of the tables as the package names them; TPUs are not among them."""

RATES = {"H800": dataclasses.replace(ACCELERATORS["H100-SXM"], link_bytes_per_s=200e9)}
"""Chips of whole runs that the package does not know: an H800 is an H100 with slower links (arXiv:2412.19437, section 3.1)."""

CAPPED = "H100-96GB-500W"
"""An H100 whose source limits its power: the same peaks, and an effect of its own."""

NEWEST = 2026.0 + 7.5 / 12.0
"""Where ages count from: the newest rows are of August 2026."""

_YEAR_ONLY, _UNDATED = 4, 2026.0
"""Rows of a page that dates by year were measured late in it; one page has no date."""


def table(folder: Path) -> pd.DataFrame:
    """Rows on chips that the package knows, flagged ones included."""
    frame = pd.read_csv(folder / "training_throughput.csv")
    return frame[frame["gpu"].isin([*HARDWARE, CAPPED])].reset_index(drop=True)


def usable(frame: pd.DataFrame) -> np.ndarray:
    """Rows that no flag keeps out of fits."""
    return ~frame["quality_flags"].fillna("").str.contains("|".join(UNUSABLE)).to_numpy()


def points(folder: Path, frame: pd.DataFrame) -> TrainingPoints:
    """Points of rows of :func:`table`."""
    frame = frame.reset_index(drop=True)
    shapes = pd.read_csv(folder / "training_architectures.csv").set_index("architecture").loc[frame["model"]]
    hardware = frame["gpu"].map(HARDWARE).fillna(CAPPED)
    chips = chips_of(hardware.replace(CAPPED, "H100-SXM"), frame["precision_class"])
    rows = Rows(_models(frame, shapes.reset_index(drop=True)), _layout(frame), chips, _software(frame))
    known = pd.DataFrame(
        {
            "architecture": frame["model"],
            "hardware": hardware,
            "precision": frame["precision_class"],
            "source": frame["source"].str.split(" @").str[0],
            "learned_router": (frame["routing"] == "natural").astype(float),
            # Some rows print TFLOP/s only.
            "tokens_per_s_per_gpu": frame["tflops_per_gpu_exact"] * 1e12 / frame["flop_per_token"],
            "row_id": frame["row_id"],
        }
    )
    file = folder / "training_throughput.csv"
    return TrainingPoints(known, rows, str(file), hashlib.sha256(file.read_bytes()).hexdigest())


def _models(frame: pd.DataFrame, shapes: pd.DataFrame) -> TrainedModel:
    def of(column: str, otherwise: float = 0.0) -> np.ndarray:
        return shapes[column].astype(float).fillna(otherwise).to_numpy()

    length, flop = frame["sequence_length"].to_numpy(float), frame["flop_per_token"].to_numpy(float)
    moe, extra = of("is_moe"), of("mtp_layers_trained")
    matrices, d_model = of("ffn_matrices"), of("d_model")
    moe_layers = of("num_moe_layers") + extra * moe
    d_routed, top_k = of("moe_latent_dim", np.nan), moe * of("top_k")
    d_routed = np.where(np.isnan(d_routed), d_model, d_routed)
    expert = matrices * d_routed * of("d_expert")
    # The table's FLOP rise by attention alone with the length.
    attention = (of("flop_per_token_8192") - of("flop_per_token_4096")) / 4096.0 * length
    head = 6.0 * of("vocab") * d_model * (1.0 + extra)
    routed = 6.0 * moe_layers * top_k * expert
    mixers = np.where(of("num_attention_layers") > 0, of("num_attention_layers"), of("num_layers")) + extra
    latent = of("mla_kv_lora_rank") > 0
    key = of("mla_nope_dim") + of("mla_rope_dim")
    inner = np.where(
        latent,
        of("num_heads") * (key + of("mla_v_dim")),
        2.0 * of("head_dim") * (of("num_heads") + of("num_kv_heads")),
    )
    sparse = (shapes["attention"] == "dsv4_hybrid").to_numpy() | (of("sliding_layers") > 0)
    full = (of("num_layers") + extra) * 6.0 * of("num_heads") * of("head_dim") * length
    dense_ffn = np.where(of("num_mamba_layers") > 0, of("num_dense_layers"), of("num_layers") - of("num_moe_layers"))
    wide = (matrices - 1.0) * (dense_ffn * of("d_ff") + moe_layers * of("d_shared"))
    return TrainedModel(
        dense_flop=flop - head - routed - attention,
        head_flop=head,
        routed_flop=routed,
        attention_flop=attention,
        skipped_attention_flop=np.where(sparse, np.maximum(0.0, full - attention), 0.0),
        head_dim=np.where(latent, key, of("head_dim")),
        num_layers=of("num_layers") + extra,
        num_moe_layers=moe_layers,
        d_model=d_model,
        d_expert=of("d_expert", 1.0),
        d_routed=d_routed,
        top_k=top_k,
        num_experts=np.where(moe > 0, of("num_experts"), 1.0),
        inner_elements=mixers * inner + wide,
        routed_elements=moe_layers * top_k * of("d_expert") * (matrices - 1.0),
        recurrent_elements=of("num_mamba_layers") * of("mamba_heads") * of("mamba_head_dim"),
        vocab=of("vocab") * (1.0 + extra),
        n_total=of("n_total"),
        n_routed=moe * of("num_moe_layers") * of("num_experts") * expert,
    )


def _layout(frame: pd.DataFrame) -> Layout:
    def of(column: str, otherwise: float) -> np.ndarray:
        return frame[column].astype(float).fillna(otherwise).to_numpy()

    recompute = frame["recompute"].fillna("none")
    return Layout(
        num_gpus=of("num_gpus", 1.0),
        global_batch=of("global_batch", 256.0),
        micro_batch=of("micro_batch", 1.0),
        sequence_tokens=of("sequence_length", 4096.0),
        tensor=of("tp", 1.0),
        pipeline=of("pp", 1.0),
        virtual=of("vp", 1.0),
        context=of("cp", 1.0),
        expert=of("ep", 1.0),
        expert_tensor=of("etp", 1.0),
        sharded=of("fsdp", 0.0),
        recompute=(recompute == "full").to_numpy(float),
        recompute_some=(~recompute.isin(["none", "full"])).to_numpy(float),
    )


def _software(frame: pd.DataFrame) -> Software:
    graph = frame["cuda_graph"].fillna("none")
    date = frame["published_date"].astype("string")
    year = date.str[:4].astype(float)
    month = date.str[5:7].where(date.str.len() > _YEAR_ONLY, "12").astype(float)
    published = (year + (month - 0.5) / 12.0).fillna(_UNDATED).to_numpy(float)
    return Software(
        age_years=np.maximum(0.0, NEWEST - published),
        full_graph=(graph == "full_iteration").to_numpy(float),
        partial_graph=graph.str.startswith("partial").to_numpy(float),
        plain_dispatch=(frame["dispatcher"] == "alltoall").to_numpy(float),
        overlap=frame["ep_overlap"].fillna(0.0).to_numpy(float),
    )


def pairs(folder: Path, frame: pd.DataFrame) -> tuple[Pairs, set[str]]:
    """Pairs of a learned and a balanced router, and the rows with a learned one that they hold."""
    found = pd.read_csv(folder / "training_pairs.csv")
    found = found[(found["pair"] == "natural / force balanced") & found["row_b"].isin(frame["row_id"])]
    balanced = frame.set_index("row_id").loc[found["row_b"]].reset_index()
    of = points(folder, balanced)
    ratio, confounded = found["a_over_b"].to_numpy(float), found["confounded"].to_numpy(float)
    return Pairs(of.rows, of.frame["precision"].to_numpy(), ratio, confounded), set(found["row_a"])


def runs(folder: Path) -> tuple[Runs, list[str]]:
    """Whole runs whose shape is known, on the fastest layout that fits before anything is fitted, and their names."""
    frame = pd.read_csv(folder / "training_end_to_end.csv").set_index("run")
    known = tomllib.loads(Path(__file__).with_name("training_runs.toml").read_text(encoding="utf-8"))
    parts, seconds = [], []
    for name, run in known.items():
        row = frame.loc[name]
        shape = public_shape(run["public"]) if "public" in run else from_mapping({"name": name, **run["shape"]}, Shape)
        model = trained_shapes([shape], run["sequence_tokens"])
        chip = RATES.get(str(row["gpu"]), ACCELERATORS["H100-SXM"])
        cluster = Cluster(chip, run["precision"], run["num_gpus"], run["step_tokens"], run["sequence_tokens"])
        parts.append(Rows(model, likely_layout(model, cluster), _one(Chip.of(chip, run["precision"])), _one(TODAY)))
        flop = float(model.flop[0])
        rate = row["tokens_per_s_per_gpu"] if "mfu" not in run else run["mfu"] * chip.peak_flop_per_s / flop
        seconds.append(1.0 / rate if np.isfinite(rate) else flop / (row["tflops_per_gpu"] * 1e12))
    rows = Rows(
        *(
            type(leaf[0])(*(np.concatenate(column) for column in zip(*leaf, strict=True)))
            for leaf in zip(*parts, strict=True)
        )
    )
    chosen = frame.loc[list(known)]
    whole = (chosen["value_kind"] == "end_to_end").to_numpy(float)
    precision = np.array([run["precision"] for run in known.values()])
    return Runs(rows, precision, np.array(seconds), chosen["is_moe"].to_numpy(float), whole), list(known)


def likely_layout(model: TrainedModel, cluster: Cluster) -> Layout:
    """The fastest layout that fits, by what is thought of the coefficients before any point is seen; leaves of shape (1,)."""
    candidates = layouts(model, cluster)
    theta = np.log([median for median, _ in PRIOR.values()])
    value = dict(zip(NAMES, np.exp(theta), strict=True))
    slopes = Slopes(
        tuple(np.exp(log_design(TODAY, cluster.precision) @ theta)[:, None, None]),
        *(np.full((1, 1), value[name]) for name in ("recompute", "recompute_some", "bubble")),
        np.full((1, 1), UNEVENNESS[0]),
        np.ones((1, 1)),
    )
    seconds = np.asarray(seconds_per_token(model, candidates, Chip.of(cluster.accelerator, cluster.precision), slopes))[0]
    fits = np.asarray(training_memory(model, candidates, cluster.precision).total) <= room(cluster)
    if not fits.any():
        raise InputError("fits on no layout of its cluster", value=float(model.n_total[0]), hint="give it more GPUs")
    best = np.where(fits, seconds, np.inf).argmin()
    return Layout(*(leaf[best : best + 1] for leaf in candidates))


def _one[Leaves: (Chip, Software)](leaves: Leaves) -> Leaves:
    return type(leaves)(*(np.array([float(leaf)]) for leaf in leaves))


def everything(folder: Path) -> tuple[TrainingPoints, Pairs, Runs, list[str]]:
    """Points, pairs, whole runs and their names, as the shipped calibration has them; a row in a pair is no point of its own."""
    frame = table(folder)
    of_router, paired = pairs(folder, frame)
    kept = frame[usable(frame) & ~frame["row_id"].isin(paired).to_numpy()]
    whole, names = runs(folder)
    return points(folder, kept), of_router, whole, names
