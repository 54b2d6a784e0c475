"""Questions about a pipeline, answered from the tables, the topic and the processes themselves. Nothing here writes.

verify       recompute everything from Bronze's raw bytes and compare
recompute    the SQL of that recomputation
topic_read   the topic beside Bronze, message by message
protocol     what a Delta log and a checkpoint must look like
status       what runs, how far behind it is, what is wrong
lag          how far each job is behind
doctor       one finding for each thing that can be wrong, with its next step
"""
