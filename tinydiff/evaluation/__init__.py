"""How good a model is: likelihoods and distances."""
