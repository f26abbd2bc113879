"""Markov chain Monte Carlo and Laplace approximations of any log density; knows no law and no table."""
