"""Samplers: from noise to data, with any denoiser.

A sampler walks: it is a generator of (t, x) along the times that it is given, falling and over 0, so that a trajectory
can be watched, stopped or drawn. `sample` answers: it draws from the prior, walks, and gives x̂_0 at the last time.
"""
