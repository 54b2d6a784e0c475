"""Checks of a pipeline from the tables, the topic and the processes. Only `doctor --repair` writes.

verify       recompute everything from Bronze's raw bytes and compare
recompute    the SQL of that recomputation
scope        which messages are judged again, in which parts
declared_tables   a declaration compared with the tables on disk
read_before  messages that were read before a field was declared
topic_read   compares the topic with Bronze, message by message
protocol     rules for a Delta log and a checkpoint
status       state, lag and problems of each service
lag          the lag of each job
doctor       checks of the environment, each with a finding and its next step
"""
