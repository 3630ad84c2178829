"""Data: exact toys, toys known by name, one's own points, MNIST."""
