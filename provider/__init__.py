"""The Fuel node: many vaults in one request, typed errors, and the wrapper that caches."""
