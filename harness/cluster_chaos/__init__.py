"""`python -m harness.cluster_chaos`: everything at once on this machine, and a sequence of faults that a seed repeats.

Three Kafka brokers, a Spark master with two workers, an S3 server, and a pipeline with the Spark engine. See
docs/chaos.md. What it shares with `make chaos` (load, ledger, report, checks) is in harness.chaos.

schedule    the steps, derived from a seed (pure)
parts       the brokers, the Spark cluster and the store: started, killed, brought back
run         the sequence, with the checks of harness.chaos
"""
