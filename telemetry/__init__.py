"""What is measured and how it is shown: the only package that knows prometheus_client."""
