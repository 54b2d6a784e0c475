"""Live sales: Kafka → Delta Lake → a dashboard whose numbers can be verified."""

__version__ = "0.2.0"
