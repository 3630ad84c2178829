"""Data: exact toys, toys known by name, your own points, MNIST."""
