"""The alerts service: conditions, messages, channels. A process of its own: a channel that is down stops no job.

run         the program
service     its loop: check what is due, note what changed
measures    the value of a measure, now
select      the value of a SELECT, now
reading     what both give
decide      from a value and what was known before: what is known now, and what happened
message     an event as title and text
outbox      messages that wait for their channel: order, bound, retries
channels    sends one message to one channel, by Apprise
tables      what the measures read of the tables
history     writes the Delta table of events
"""
