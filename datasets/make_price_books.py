"""Write the price books that the package ships, ``bayesmoe/costs/price_books.toml``, from a table of prices.

Run as ``python -m datasets.make_price_books PRICES.csv``: USD of a GPU-hour by chip, book and date, with the source of each.

Of each chip and book the newest prices count. Their median is the geometric mean, and their log-sd that between them, at least the one between all
chips of the book that have several.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w

from datasets.training_tables import HARDWARE

_BOOKS = {
    "owned_hyperscaler": "owned",
    "owned_neocloud": "owned",
    "reserved_3y": "reserved",
    "on_demand": "on_demand",
    "spot": "spot",
}
_CHIPS = {**HARDWARE, "MI300X": "MI300X"}
_LEAST_LOG_SD = 0.1
"""Between lists of one book, where no chip has several."""


def books(table: pd.DataFrame) -> dict[str, dict[str, dict[str, object]]]:
    """By book and accelerator: ``median``, ``log_sd``, ``date``, ``source``."""
    table = table.assign(book=table["book"].map(_BOOKS), chip=table["chip"].map(_CHIPS)).dropna(subset=["chip", "book"])
    found: dict[str, dict[str, dict[str, object]]] = {}
    for book, own in table.groupby("book"):
        newest = own[own["date"] == own.groupby("chip")["date"].transform("max")]
        logs = np.log(newest["usd_per_gpu_hour"].astype(float)).groupby(newest["chip"])
        pooled = max(_LEAST_LOG_SD, float(np.sqrt(logs.var().mean()))) if logs.size().max() > 1 else _LEAST_LOG_SD
        found[str(book)] = {
            str(chip): {
                "median": round(float(np.exp(logs.get_group(chip).mean())), 3),
                "log_sd": round(float(np.nanmax([logs.get_group(chip).std(), pooled])), 3),
                "date": str(rows["date"].iloc[0]).replace(" copy", ""),
                "source": "; ".join(dict.fromkeys(rows["source"].str.partition(" (")[0])),
            }
            for chip, rows in newest.groupby("chip")
        }
    return found


def main() -> None:
    """Read the table named on the command line, and write the books."""
    path = Path(__file__).parents[1] / "bayesmoe" / "costs" / "price_books.toml"
    path.write_text(tomli_w.dumps(books(pd.read_csv(sys.argv[1]))), encoding="utf-8")


if __name__ == "__main__":
    main()
