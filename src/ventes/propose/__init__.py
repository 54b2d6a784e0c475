"""Proposes the declaration of a stream from some of its messages.

sample        messages of a topic or a file (I/O)
wrapping      what is around the event in a message: a registry frame, a Debezium envelope
paths         which values occur at which path of the events
names         names of columns for members of the events; what the words of a name hint at
kinds         the values of a path → the kind of a field
fields        the members of the events that become fields
roles         which of them are the id, the time and the dimensions
proposal      the messages → a Stream with its aggregates, and a remark for each doubt
rejected      the messages that a declaration rejects, and why
source_text   a Stream → the text of its file

Everything but `sample` is pure.
"""
