"""Samplers: from noise to data, with any denoiser.

A sampler walks: it is a generator of (t, x) along the times that it is given, which fall within (0, 1], so that a
trajectory can be watched, stopped or drawn; as a generator it raises what it raises when its first pair is asked for.
`sample` answers: it draws from the prior, walks, and gives x̂_0 at the last time.
"""
