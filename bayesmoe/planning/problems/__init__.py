"""Planning problems: one file each; a new problem is one file and one line here."""

from bayesmoe.planning.problems.base import Problem
from bayesmoe.planning.problems.cheapest_serving import CHEAPEST_SERVING
from bayesmoe.planning.problems.lowest_loss import LOWEST_LOSS

all_problems: tuple[Problem, ...] = (CHEAPEST_SERVING, LOWEST_LOSS)

__all__ = ["CHEAPEST_SERVING", "LOWEST_LOSS", "Problem", "all_problems"]
