"""OpenTelemetry traces (extra ``tracing``): a case from the HIS's request through each step to the centre.

Spans are made when a step is over, with the times it noted: nothing stands between the send gate and the first byte.  The
steps of a case hang below the HIS request that began it; after a restart they form traces of their own, found by ``case_id``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from adapter_core.operations.logs import FIELDS
from adapter_core.operations.masking import masked
from adapter_core.values.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


App = Callable[[Any, Any, Any], Awaitable[None]]


class Traces(Protocol):
    """What is told to whoever follows cases."""

    def request(self, name: str, **facts: Any) -> Any:
        """A context manager around one request of a HIS; steps that begin within hang below it."""

    def step(self, name: str, begun_ns: int, answered_ns: int, ended_ns: int, facts: Mapping[str, Any]) -> None:
        """One finished step: the exchange with the centre, then its journal entry."""

    def close(self) -> None:
        """Send what waits."""


class NoTraces:
    """For who follows nothing."""

    def request(self, name: str, **facts: Any) -> Any:
        return nullcontext()

    def step(self, name: str, begun_ns: int, answered_ns: int, ended_ns: int, facts: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class OpenTelemetryTraces:
    """Spans over OTLP.  Attributes are the log's own allow-list, masked the same way."""

    def __init__(self, exporter: SpanExporter, version: str, environment: str, *, at_once: bool = False) -> None:
        """at_once: each span is exported when it ends, by the caller's own thread (tests)."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        resource = Resource(
            {"service.name": "his-adapter", "service.version": version, "deployment.environment.name": environment}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("his-adapter")

    @contextmanager
    def request(self, name: str, **facts: Any) -> Iterator[None]:
        from opentelemetry.trace import SpanKind

        # An exception's text may quote the message, so the span says that it failed and not how.
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.SERVER,
            attributes=_attributes(facts),
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    def step(self, name: str, begun_ns: int, answered_ns: int, ended_ns: int, facts: Mapping[str, Any]) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        attributes = _attributes(facts)
        span = self._tracer.start_span(f"step {name}", start_time=begun_ns, attributes=attributes)
        centre = self._tracer.start_span(
            f"centre {facts.get('infno', name)}",
            context=set_span_in_context(span),
            kind=SpanKind.CLIENT,
            start_time=begun_ns,
            attributes=attributes,
        )
        centre.end(answered_ns)
        span.end(ended_ns)

    def close(self) -> None:
        self._provider.shutdown()


class TracedRequests:
    """An ASGI application with a span around each request.  Named by the method alone: an address holds the HIS's keys."""

    def __init__(self, app: App, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._traces.request(f"HIS {scope['method']}", method=scope["method"]):
            await self._app(scope, receive, send)


def traced(app: App, traces: Traces) -> App:
    """The application with a span around each request, as it is where nobody follows them."""
    return app if isinstance(traces, NoTraces) else TracedRequests(app, traces)


def _attributes(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"his_adapter.{name}": value
        if isinstance(value, (bool, int, float))
        else masked(str(value))
        if name not in _IDS
        else str(value)
        for name, value in facts.items()
        if name in FIELDS and value not in (None, "", [])
    }


_IDS = frozenset({"case_id", "encounter_id", "msgid", "patient", "org"})


def traces_to(endpoint: str, version: str, environment: str) -> OpenTelemetryTraces:
    """Spans to a collector's OTLP/HTTP address.  Raises: ConfigError when the extra is missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise ConfigError("tracing.endpoint needs the extra: pip install his-adapter[tracing]") from None
    return OpenTelemetryTraces(OTLPSpanExporter(endpoint=endpoint, timeout=5), version, environment)
