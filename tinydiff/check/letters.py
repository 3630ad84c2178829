"""What the letters of laws and hints mean: those of the course, one meaning each."""

LETTERS = {
    "ᾱ": "ᾱ_t is what t steps leave of a signal's variance of 1",
    "β̃": "β̃_t is the variance of q(x_{t−1}|x_t, x_0)",
    "β": "β_t is betas[t − 1], the variance of the noise in step t",
    "ε̂": "ε̂ is the predicted noise, eps_hat",
    "ε": "ε is the noise, eps",
    "x̂_0": "x̂_0 is the predicted x_0, x0_hat",
    "η": "η is eta, the share of DDPM's noise",
    "SNR": "SNR is the ratio of the variances of signal and noise",
}
"""Those with marks come before those without, which are part of them."""


def letters(text: str) -> list[str]:
    """What the letters in the text mean."""
    found = []
    for letter, meaning in LETTERS.items():
        if letter in text:
            found.append(meaning)
            text = text.replace(letter, "")
    return found
