"""From a spec to a posterior."""
