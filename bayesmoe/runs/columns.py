"""Columns of wide tables."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def with_columns(frame: pd.DataFrame, columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """A frame with columns replaced or appended; a wide table is not copied, and none of its columns inserted one by one."""
    new = {name: values for name, values in columns.items() if name not in frame}
    replaced = {name: values for name, values in columns.items() if name in frame}
    frame = frame.assign(**replaced) if replaced else frame
    return pd.concat([frame, pd.DataFrame(new, index=frame.index)], axis=1) if new else frame
