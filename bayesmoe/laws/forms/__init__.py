"""Functional forms: one file per law."""
