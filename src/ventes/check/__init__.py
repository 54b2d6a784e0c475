"""Checks of a pipeline from the tables, the topic and the processes. Only `doctor --repair` writes.

verify       recompute everything from Bronze's raw bytes and compare
moment       all tables at one consistent moment
relations    the scratch database, and short questions to it
report       what a verification says
recompute    the SQL of that recomputation
scope        which messages are judged again, in which parts
declared_tables   a declaration compared with the tables on disk
read_before  messages that were read before a field was declared
topic_read   compares the topic with Bronze, message by message
filling      roll-ups that lack their events
protocol     rules for a Delta log and a checkpoint
status       state, lag and problems of each service
lag          the lag of each job
spark_cluster   what the master of a Spark cluster says now
measure      what the metrics show and no heartbeat has
doctor       checks of the environment, each with a finding and its next step
"""
