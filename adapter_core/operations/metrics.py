"""Prometheus metrics: how calls end and how long they take, per province and class; what is unknown, frozen, queued, late.

One registry per running adapter, nothing global.  No label ever holds a key, a person or a text of the centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from adapter_core.centre.guarded import EndpointState

CONTENT_TYPE = CONTENT_TYPE_LATEST
CALL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
COMMIT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
CIRCUIT_VALUES = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger holds open now, per province.  unknown: how many cases nobody knows the outcome of, oldest_s: how long
    the oldest of them; frozen: how many wait for a person."""

    unknown: int = 0
    oldest_s: float = 0.0
    frozen: int = 0


class Metrics:
    """The numbers of one process."""

    def __init__(self, version: str, environment: str) -> None:
        self.registry = CollectorRegistry()
        self._make_flow()
        self._make_state()
        self._make_service()
        info = Gauge(
            "his_adapter_info", "Version and environment; always 1", ["version", "environment"], registry=self.registry
        )
        info.labels(version, environment).set(1)
        # series that are counted with every message, looked up in the library once each
        self.calls_of = cache(self.calls.labels)
        self.call_seconds_of = cache(self.call_seconds.labels)
        self.cases_of = cache(self.cases.labels)
        self.skew_of = cache(self.skew.labels)
        self.requests_of = cache(self.requests.labels)
        self.request_seconds_of = cache(self.request_seconds.labels)

    def _make_flow(self) -> None:
        registry = self.registry
        self.calls = Counter(
            "his_adapter_calls",
            "Calls to a centre by what became of them",
            ["province", "class", "result"],
            registry=registry,
        )
        self.call_seconds = Histogram(
            "his_adapter_call_seconds",
            "A call to a centre, from asking for a slot to its whole reply",
            ["province", "class"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self.cases = Counter(
            "his_adapter_cases", "Cases by the state they came to", ["province", "purpose", "state"], registry=registry
        )
        self.refused = Counter(
            "his_adapter_refused", "Messages refused before anything was sent", ["dialect", "code"], registry=registry
        )
        self.commit_seconds = Histogram(
            "his_adapter_ledger_commit_seconds",
            "A ledger transaction until it is synced, waiting included",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self.commit_failures = Counter(
            "his_adapter_ledger_failures", "Ledger transactions that could not be written", registry=registry
        )

    def _make_state(self) -> None:
        registry, province = self.registry, ["province"]
        self.unknown = Gauge("his_adapter_unknown_cases", "Cases whose outcome is unknown", province, registry=registry)
        self.unknown_age = Gauge(
            "his_adapter_unknown_oldest_seconds", "Age of the oldest unknown outcome", province, registry=registry
        )
        self.frozen = Gauge("his_adapter_frozen_cases", "Cases that wait for a person", province, registry=registry)
        self.circuit = Gauge(
            "his_adapter_breaker_state", "0 closed, 1 half open, 2 open", ["province", "group"], registry=registry
        )
        self.busy = Gauge("his_adapter_calls_busy", "Calls under way", ["province", "lane"], registry=registry)
        self.queue = Gauge(
            "his_adapter_calls_waiting", "Calls waiting for a slot", ["province", "lane"], registry=registry
        )
        self.skew = Gauge(
            "his_adapter_clock_skew_seconds",
            "The centre's clock minus ours, by respond_time",
            province,
            registry=registry,
        )
        self.disk_free = Gauge("his_adapter_disk_free_bytes", "Free space beside the ledger", registry=registry)
        self.ledger_writable = Gauge(
            "his_adapter_ledger_writable", "1 while the ledger takes writes", registry=registry
        )
        self.alarms = Gauge("his_adapter_alarm", "1 while this alarm stands", ["alarm", "severity"], registry=registry)

    def _make_service(self) -> None:
        self.requests = Counter(
            "his_adapter_http_requests", "Requests of HIS and people", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "his_adapter_http_request_seconds",
            "A request until its answer",
            ["route"],
            buckets=CALL_BUCKETS,
            registry=self.registry,
        )

    def show_wire(self, states: Iterable[EndpointState], provinces: Mapping[str, str]) -> None:
        for state in states:
            province = provinces.get(state.endpoint, state.endpoint)
            for group, circuit in state.circuits.items():
                self.circuit.labels(province, group).set(CIRCUIT_VALUES[circuit])
            for lane, busy, waiting in (
                ("work", state.busy, state.waiting),
                ("resolving", state.resolving, state.resolving_waiting),
            ):
                self.busy.labels(province, lane).set(busy)
                self.queue.labels(province, lane).set(waiting)

    def show_standing(self, standings: Mapping[str, Standing]) -> None:
        for province, standing in standings.items():
            self.unknown.labels(province).set(standing.unknown)
            self.unknown_age.labels(province).set(standing.oldest_s)
            self.frozen.labels(province).set(standing.frozen)

    def text(self) -> bytes:
        """The exposition format of Prometheus, of type `CONTENT_TYPE`."""
        return generate_latest(self.registry)
