"""Live sales: Kafka → Delta Lake → a dashboard that is true."""

__version__ = "0.1.0"
