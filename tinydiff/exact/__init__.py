"""Exact denoisers: Gaussian mixtures and finite data sets, diffused in closed form."""
