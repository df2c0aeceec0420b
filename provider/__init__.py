"""The Fuel node: GraphQL over httpx."""
