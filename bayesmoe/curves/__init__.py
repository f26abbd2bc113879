"""Optimal quantities as curves over size, budget, serving cost and leverage; read by the gallery."""
