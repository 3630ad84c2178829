"""Forward processes: how data turn into noise.

    x_t = α(t) x_0 + σ(t) ε,    ε ~ N(0, I),    t ∈ [0, 1]: data at 0, noise at 1

One letter, one meaning. `alpha` is the coefficient of the signal; the papers write

    here          DDPM         VDM        Song et al. (VP)      EDM
    alpha         √ᾱ           α          exp(−½∫β)             s (VE: 1)
    sigma         √(1 − ᾱ)     σ          √(1 − exp(−∫β))       s·σ
    alpha**2      ᾱ            α²         exp(−∫β)
    1 − beta      α            α²_{t|s}
    log_snr       ln ᾱ/(1−ᾱ)   −γ                               −2 ln σ

A chain of T steps (`Discrete`) lives on the grid t = n/T, n = 0..T, where index n means n noising steps. Wherever
two times appear the later comes first: s < t. A time is a number or one number for each row, (B,).

Sources: Ho et al. 2020 (DDPM), Song et al. 2021 (score SDE), Kingma et al. 2021 (VDM), Karras et al. 2022 (EDM),
Nichol & Dhariwal 2021 (cosine), Lin et al. 2023 (zero terminal SNR), Lipman et al. 2023 (the straight path).
"""

from tinydiff.processes.base import LOG_SNR_END, SDE, Process, as_time
from tinydiff.processes.continuous import VE, VP, Cosine, Straight, SubVP
from tinydiff.processes.discrete import Discrete

__all__ = ["LOG_SNR_END", "SDE", "VE", "VP", "Cosine", "Discrete", "Process", "Straight", "SubVP", "as_time"]
