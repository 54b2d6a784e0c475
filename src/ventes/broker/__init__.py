"""The managed Kafka broker: one JVM on this machine, for this pipeline.

managed   its files, settings and command line; whether it answers
run       the program that becomes the broker
"""
