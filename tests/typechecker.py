"""What holds calls to their annotations in the tests: beartype, for which an int is a float, as the numeric tower of PEP 484 has it."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
