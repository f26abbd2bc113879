"""Traffic as people know it: users and requests, or tokens of a second, day or month; into what is served in all, and how fast."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, model_validator

from bayesmoe.costs.uncertain import Positive, Quantity, Uncertain, median
from bayesmoe.costs.workload import Serving
from bayesmoe.errors import InputError
from bayesmoe.specs import About, from_mapping, spec
from bayesmoe.units import SECONDS_PER_HOUR, short

_DAY_S = 24.0 * SECONDS_PER_HOUR
_MONTH_DAYS = 365.0 / 12.0
_SECONDS = {"output_tokens_per_s": 1.0, "output_tokens_per_day": _DAY_S, "output_tokens_per_month": _MONTH_DAYS * _DAY_S}
_MOST_RATE = 1e10
"""Output tokens a second: twenty times what Google reported for all its services in October 2025 (1.3e15 a month)."""

_SAID_OTHERWISE = (("serving", "lifetime_tokens"), ("limits", "output_tokens_per_s"))


@spec
class TrafficSpec:
    """What is served, in place of ``serving.lifetime_tokens`` and ``limits.output_tokens_per_s``.

    ``lifetime_tokens = users x requests_per_user_per_day x serving.output_tokens x days``, or tokens a second, day or month times
    ``days``; factors of unknown size multiply as independent ones. The demand is the mean tokens a second times ``peak_to_average``.

    Parameters
    ----------
    users : quantity, optional
        Active users on an average day.
    requests_per_user_per_day : quantity, optional
        Requests of one of them; `serving.output_tokens` says how long an answer is.
    output_tokens_per_s, output_tokens_per_day, output_tokens_per_month : quantity, optional
        Output tokens of all users, instead of users and requests.
    days : float
        For how long the model serves.
    peak_to_average : float
        Tokens a second at the busiest time over their mean.
    """

    users: Annotated[Quantity | None, About("users", "", 1.0, 8.3e9, "give people: there are 8.3e9")] = None
    requests_per_user_per_day: Annotated[Quantity | None, About("requests", "", 1e-4, 1e5, "give requests of one user")] = (
        None
    )
    output_tokens_per_s: Annotated[Quantity | None, About("tokens/s", "", 1e-3, _MOST_RATE, "give tokens a second")] = None
    output_tokens_per_day: Annotated[
        Quantity | None, About("tokens/day", "", 100.0, _MOST_RATE * _DAY_S, "give tokens of a day")
    ] = None
    output_tokens_per_month: Annotated[
        Quantity | None, About("tokens/month", "", 1e3, _MOST_RATE * _DAY_S * 31.0, "give tokens of a month")
    ] = None
    days: Annotated[Positive, About("days", "one year", 1.0, 36_500.0, "give days, such as 365")] = 365.0
    peak_to_average: Annotated[
        float, Field(ge=1), About("times the mean", "an even load", 1.0, 1e3, "give the peak over the mean, such as 3")
    ] = 1.0

    @model_validator(mode="after")
    def _one_way(self) -> TrafficSpec:
        people = [name for name in ("users", "requests_per_user_per_day") if getattr(self, name) is not None]
        given = [name for name in _SECONDS if getattr(self, name) is not None]
        if len(given) > 1 or (given and people):
            second = given[1] if len(given) > 1 else people[0]
            raise InputError(f"says the same as {given[0]}", column=f"traffic.{second}", hint="keep one of the two")
        if not given and len(people) < 2:
            missing = "requests_per_user_per_day" if people == ["users"] else "users"
            raise InputError(
                "is required",
                column=f"traffic.{missing}",
                hint="give users and requests_per_user_per_day, or output_tokens_per_s, _per_day or _per_month",
            )
        return self

    def tokens_per_day(self, output_tokens: Any) -> Any:
        """Output tokens of a day, from those of a request."""
        for name, seconds in _SECONDS.items():
            if getattr(self, name) is not None:
                return _product(getattr(self, name), _DAY_S / seconds)
        return _product(self.users, self.requests_per_user_per_day, output_tokens)


def read_traffic(raw: dict[str, Any]) -> TrafficSpec | None:
    """Traffic of a scenario as written; None where it gives none.

    Raises
    ------
    InputError
        It breaks a rule, or the scenario gives the same besides.
    """
    if "traffic" not in raw:
        return None
    for section, key in _SAID_OTHERWISE:
        if key in raw.get(section, {}):
            raise InputError("says the same as [traffic]", column=f"{section}.{key}", hint="keep one of the two")
    return _section("traffic", raw["traffic"], TrafficSpec)


def with_traffic(raw: dict[str, Any], traffic: TrafficSpec) -> tuple[dict[str, Any], str]:
    """A scenario as written with its traffic as tokens in all and a demand in tokens a second, and a sentence that says so."""
    serving, limits = dict(raw.get("serving", {})), dict(raw.get("limits", {}))
    lengths = _section("serving", {key: serving[key] for key in ("output_tokens",) if key in serving}, Serving)
    daily = traffic.tokens_per_day(lengths.output_tokens)
    lifetime, rate = _product(daily, traffic.days), median(daily) / _DAY_S
    serving["lifetime_tokens"] = _written(lifetime)
    limits["output_tokens_per_s"] = rate * traffic.peak_to_average
    note = (
        f"[traffic] is {short(rate)} output tokens a second on average, and {short(median(lifetime))} in {traffic.days:g} days "
        "(serving.lifetime_tokens)"
    )
    rest = {key: value for key, value in raw.items() if key != "traffic"}
    return {**rest, "serving": serving, "limits": limits}, note


def _section(name: str, raw: Any, kind: Any) -> Any:
    try:
        return from_mapping(raw, kind)
    except InputError as error:
        column = error.column or ""
        own = column if column.startswith(f"{name}.") else f"{name}.{column}".rstrip(".")
        raise InputError(error.rule, column=own, value=error.value, hint=error.hint) from error


def _product(*factors: Any) -> Any:
    """Product of independent quantities: medians multiply, and the variances of the logarithms add up."""
    log_sd = math.sqrt(sum(one.log_sd**2 for one in factors if isinstance(one, Uncertain)))
    value = math.prod(map(median, factors))
    return Uncertain(median=value, log_sd=log_sd) if log_sd else value


def _written(quantity: Any) -> Any:
    return {"median": quantity.median, "log_sd": quantity.log_sd} if isinstance(quantity, Uncertain) else quantity
