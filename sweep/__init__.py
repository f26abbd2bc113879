"""Runs that this project trains itself: small MoE transformers on a synthetic language whose entropy is known."""
