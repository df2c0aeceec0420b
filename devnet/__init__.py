"""The simulated Fuel node: as strict as the real one, on loopback, with faults on demand."""
