"""Learned denoisers: layers, a network, an optimizer and training, with backpropagation by hand."""
