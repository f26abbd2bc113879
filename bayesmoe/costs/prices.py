"""Prices of a GPU-hour by book: what owners, renters for years, on demand and at spot pay, dated."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

from pydantic import AfterValidator, Discriminator, Tag

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.uncertain import Positive, Quantity, Uncertain
from bayesmoe.errors import InputError, nearest
from bayesmoe.specs import NUMBER, SPREAD, WORD, About, written_as

BOOKS = ("owned", "reserved", "on_demand", "spot")
"""Owner's cost of hyperscalers and smaller clouds; a contract of three years; by the hour; by the hour until somebody pays more."""


class BookPrice(NamedTuple):
    """Price of an accelerator in a book.

    Attributes
    ----------
    price : Uncertain
        USD of a GPU-hour.
    date, source : str
        Of what day, and where it is printed.
    """

    price: Uncertain
    date: str
    source: str


def book_named(name: str) -> str:
    """The price book of that name, however it is written ("on-demand").

    Raises
    ------
    ValueError
        There is none.
    """
    word = name.lower().strip().replace("-", "_").replace(" ", "_")
    if word in BOOKS:
        return word
    raise ValueError(f"is neither a number nor a price book ({nearest(word, BOOKS)})")


Price = Annotated[
    Annotated[Positive, Tag(NUMBER)]
    | Annotated[Uncertain, Tag(SPREAD)]
    | Annotated[str, AfterValidator(book_named), Tag(WORD)],
    Discriminator(written_as),
]
"""A number, ``{ median = 2.0, log_sd = 0.2 }``, or one of :data:`BOOKS`."""


PRICED = About(
    "USD", "an assumption by accelerator of November 2025, no quote", 0.01, 1e3, "give USD an hour of one GPU, such as 2.2"
)
"""What a price is in a scenario."""


@cache
def _books() -> dict[str, dict[str, BookPrice]]:
    text = Path(__file__).with_name("price_books.toml").read_text(encoding="utf-8")
    return {
        book: {
            chip: BookPrice(Uncertain(median=one["median"], log_sd=one["log_sd"]), one["date"], one["source"])
            for chip, one in chips.items()
        }
        for book, chips in tomllib.loads(text).items()
    }


def book_price(book: str, accelerator: str, *, column: str) -> BookPrice:
    """Price of an accelerator in a book; ``column`` is the key that asks, for a complaint.

    Raises
    ------
    InputError
        The book has no such accelerator.
    """
    chips = _books()[book]
    if accelerator not in chips:
        known = [name for name in BOOKS if accelerator in _books()[name]]
        hint = f"its books: {', '.join(known)}" if known else "give USD an hour of one GPU, such as 2.2"
        raise InputError(f"has no price of {accelerator}", column=column, value=book, hint=hint)
    return chips[accelerator]


@runtime_checkable
class Priced(Protocol):
    """What has an accelerator and perhaps a price of its own: a section of a scenario."""

    @property
    def accelerator(self) -> str:
        """Name of an accelerator."""
        ...

    @property
    def price_usd_per_gpu_hour(self) -> Any:
        """Price of an hour of one GPU, the word of a book, or None."""
        ...


def price_of(fleet: Priced) -> Quantity:
    """USD of a GPU hour: the fleet's own, that of its price book, or what its accelerator is assumed to cost.

    Raises
    ------
    InputError
        The book has no price of the accelerator.
    """
    price = fleet.price_usd_per_gpu_hour
    if isinstance(price, str):
        column = f"{type(fleet).__name__.lower()}.price_usd_per_gpu_hour"
        return book_price(price, fleet.accelerator, column=column).price
    if price is not None:
        return price
    return accelerator_named(fleet.accelerator).price_usd_per_hour
