"""The read API and the internal (service-to-service) API."""
