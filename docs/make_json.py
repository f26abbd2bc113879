"""Write ``docs/schemas/*.json``: each document writes its own JSON Schema. ``python docs/make_json.py``."""

from __future__ import annotations

from pathlib import Path

from bayesmoe.documents import all_documents

if __name__ == "__main__":
    for document in all_documents():
        (Path(__file__).parent / "schemas" / document.schema_file()).write_text(document.schema_text(), encoding="utf-8")
