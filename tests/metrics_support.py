"""Reads what Prometheus reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass
class Scrape:
    """The samples of one answer of /metrics."""

    text: str
    samples: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def value(self, name: str, **labels: object) -> float:
        """The sum of the samples of a metric that have these labels."""
        wanted = {key: str(value) for key, value in labels.items()}
        found = self.samples.get(f"balance_cache_{name}", [])
        return sum(value for has, value in found if wanted.items() <= has.items())

    def has(self, name: str, **labels: object) -> bool:
        wanted = {key: str(value) for key, value in labels.items()}
        found = self.samples.get(f"balance_cache_{name}", [])
        return any(wanted.items() <= has.items() for has, _ in found)


def scrape(url: str, **headers: str) -> Scrape:
    response = httpx.get(url, headers=headers, timeout=15)
    assert response.status_code == httpx.codes.OK, response.text
    assert response.headers["content-type"].startswith("text/plain; version=")
    return Scrape(response.text)
