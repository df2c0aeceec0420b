"""A simulated Fuel node: a tool of its own."""
