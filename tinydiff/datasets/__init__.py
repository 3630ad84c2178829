"""Data: exact toys and MNIST."""
