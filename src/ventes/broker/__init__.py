"""The managed Kafka broker: one JVM on this machine, for this pipeline.

managed   its files, settings and command line; checking that it is ready
run       the program that prepares and execs the broker
"""
