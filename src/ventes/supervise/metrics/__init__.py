"""Metrics in Prometheus' text format, served by the supervisor: `[metrics]` in ventes.toml, docs/monitoring.

families    the metrics, from records, heartbeats and a measurement
measurer    the child process that measures what needs a Kafka client or Arrow
endpoint    the HTTP server, in threads of the supervisor
"""
