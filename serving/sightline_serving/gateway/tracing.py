"""OpenTelemetry: a trace that comes in goes on into the gRPC call. The extra `tracing`."""

from __future__ import annotations

from multiprocessing.util import Finalize

from flask import Flask


def install(app: Flask) -> None:
    """Trace the application's requests and the gRPC calls that they make; before any channel is made.

    The standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, …) say where to and as whom.
    """
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "sightline-gateway"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # A worker is a process of multiprocessing's, which leaves without Python's own exit handlers.
    Finalize(None, provider.shutdown, exitpriority=1)
    GrpcInstrumentorClient().instrument()  # type: ignore[no-untyped-call]
    FlaskInstrumentor().instrument_app(app, excluded_urls="healthz,readyz,metrics")  # type: ignore[no-untyped-call]
