"""The producer: realistic sales, each with a unique id, none lost on the way to Kafka."""
