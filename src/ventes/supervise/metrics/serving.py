"""Serves the metrics of this pipeline as long as the supervisor runs, as the settings say."""

from __future__ import annotations

import errno
import logging

from ventes.config import Metrics, Settings
from ventes.supervise import ports, services
from ventes.supervise.metrics.endpoint import Endpoint
from ventes.supervise.metrics.measurer import Measurer


class Serving:
    """`apply` the settings, `look` from time to time, `close` at the end; none of them raises or waits for a client."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._settings: Settings | None = None
        self._endpoint: Endpoint | None = None
        self._measurer: Measurer | None = None
        self.problem = ""
        """Why there are no metrics although they are asked for, and what to do; '' if there are."""

    def apply(self, settings: Settings) -> None:
        """Serve as these settings say from now on."""
        if self._settings is not None and _read_by_it(settings) == _read_by_it(self._settings):
            return
        self.close()
        self._settings = settings
        if settings.metrics.enabled:
            self._measurer = Measurer(services.environment(settings))
            self._endpoint = Endpoint(settings.metrics.address, settings.metrics.port, self._text)
        self.look()

    def look(self) -> None:
        """Listen if the port was taken and is free now; take note of a measuring process that has ended."""
        if self._measurer is not None:
            self._measurer.reap()
        if self._endpoint is None or self._settings is None:
            self.problem = ""
            return
        before, self.problem = self.problem, ""
        try:
            if self._endpoint.listen():
                self._log.info("metrics at %s", services.metrics_url(self._settings))
        except (OSError, RuntimeError, OverflowError) as error:  # taken, no such address, no more threads
            self.problem = _problem(self._settings, error)
            if self.problem != before:
                self._log.warning("no metrics: %s", self.problem)

    def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()
        if self._measurer is not None:
            self._measurer.close()
        self._endpoint = self._measurer = None

    def _text(self, accept: str) -> tuple[bytes, str]:
        """In a thread of the endpoint."""
        from prometheus_client.exposition import choose_encoder  # here: a pipeline that nobody asks does not load it

        from ventes.supervise.metrics import families

        settings, measurer = self._settings, self._measurer
        assert settings is not None
        measured = measurer.latest() if measurer is not None else None
        encode, kind = choose_encoder(accept)
        return encode(families.Families(families.read(settings, measured))), kind


def _read_by_it(settings: Settings) -> tuple[str, Metrics]:
    """What the measuring process and the server read of the settings, for a comparison."""
    return settings.fingerprint(), settings.metrics


def _problem(settings: Settings, error: Exception) -> str:
    metrics = settings.metrics
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        taken = ("metrics.port", metrics.address, metrics.port)
        step = f"stop that, or set another metrics.port in {settings.config_file}"
        return f"{services.in_the_way(taken, ports.holder(metrics.port))}; everything else runs; {step}"
    why = getattr(error, "strerror", None) or str(error)
    step = f"set another address in {settings.config_file}, then `ventes start`"
    return f"metrics.address = {metrics.address}, port {metrics.port}: {why}; everything else runs; {step}"
