"""What a loss was measured on, and when: what its name and the other losses of a table say."""

from __future__ import annotations

from bayesmoe.runs.finding import Finding, Sheet
from bayesmoe.runs.losses import is_mean_over_text, loss_name, of_text
from bayesmoe.runs.words import BITS_PER_BYTE, plain


def kinds_of_loss(sheet: Sheet) -> list[Finding]:
    """Losses on training text, beside others on other text, or of another moment than a run's end."""
    named = {name: loss_name(name) for name in sheet.present}
    last = {name: said for name, said in named.items() if said is not None and said.moment in ("", "final", "mean")}
    validation = [name for name, said in last.items() if said.text == "held-out" and not said.others]
    training = [
        name
        for name, said in last.items()
        if said.text == "training" or (plain(name) == "loss" and (validation or name == sheet.own("loss")))
    ]
    found, own = [], sheet.own("loss")
    chosen = loss_name(own)
    bare = plain(own) == "loss" and sheet.tracked and "loss" not in sheet.mapped
    if "loss" in sheet.names and chosen is not None and (chosen.text == "training" or bare):
        found.append(_training_loss(sheet, own, [name for name in training if name != own], validation))
    elif validation and len({*validation, *training, own}) > 1:
        others = ", ".join(name for name in (*validation, *training) if name != own)
        rule = f"was read as the loss; the table also has {others}"
        hint = "losses on other text, and the noisy average of training, differ: use one kind for all runs (--map loss=YOUR_COLUMN)"
        found.append(Finding("kinds of loss", "look", rule, hint, column=own))
    return found + _moment_of_loss(sheet, own)


def _training_loss(sheet: Sheet, own: str, others: list[str], validation: list[str]) -> Finding:
    """A training loss was read: what else the table has."""
    means = [name for name in others if _is_mean(name)]
    rest = [name for name in sheet.present if any(unit in plain(name) for unit in BITS_PER_BYTE)]
    corpora = of_text(sheet.present, "held-out", "final", "", corpus=True)
    asked = f" for sure ({', '.join(corpora[:4])})" if corpora else ""
    bare = " by all likelihood, for that is what trackers are given under this name" if plain(own) == "loss" else ""
    none = f"the table also has {', '.join(validation)}" if validation else f"no held-out loss was recognized{asked}"
    rule = f"is a training loss{bare}: {none}"
    rule += f"; {', '.join(rest)} is in bits per byte" if rest else ""
    rule += f"; {', '.join(means)} may be a mean over the run" if means else ""
    if plain(own) == "train_loss" and _is_mean(own):
        rule += "; under this name the Trainer of Transformers writes a mean over the run"
    hint = "map a held-out loss (--map loss=YOUR_COLUMN; nats per token = bits per byte * ln 2 * bytes per token)"
    return Finding("kinds of loss", "look", rule, hint, column=own)


def _is_mean(name: str) -> bool:
    said = loss_name(name)
    return (said is not None and said.moment == "mean") or (plain(name) == "train_loss" and "/" not in name)


def _moment_of_loss(sheet: Sheet, own: str) -> list[Finding]:
    """Losses that by their name are not of a run's end: the lowest that it had, or a mean."""
    said = loss_name(own) if "loss" in sheet.names else None
    rules = {
        "best": "is the lowest loss that a run had, by its name, not its last: it is biased low, and hides that a run got worse",
        "mean": "is a mean by its name, over the run or a part of it: such a mean lags behind the last loss",
    }
    if (
        said is None
        or said.moment not in rules
        or (said.text == "held-out" and said.moment == "mean" and is_mean_over_text(own))
    ):
        return []
    others = [name for name in sheet.present if (other := loss_name(name)) is not None and other.moment in ("", "final")]
    rule = rules[said.moment] + (f"; the table also has {', '.join(others)}" if others else "")
    hint = "map the loss at the end of training (--map loss=YOUR_COLUMN), or log it once more there"
    return [Finding("kinds of loss", "look", rule, hint, column=own)]
