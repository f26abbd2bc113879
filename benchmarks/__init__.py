"""Benchmarks: each module prints its ratios, measured side by side in one run. ``pip install -e '.[bench]'`` first."""
