"""The JSON documents: what `--json` prints."""
