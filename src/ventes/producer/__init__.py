"""The producer: sales that look real, each with an id that never comes twice, none lost on the way to Kafka."""
