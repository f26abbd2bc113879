"""The demo, and the gallery of every figure, on the simulated runs that come with the package."""
