"""What an error of Spark says, for a log line or `ventes status`."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The message of the error, without the stack traces that Spark and py4j include.

    For an exception that only reports that another thread failed, its last cause is used.
    """
    lines = [line.strip(" :") for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith("An error occurred while calling")]
    if not told:
        return type(error).__name__
    causes = [line.removeprefix("Caused by: ") for line in told if line.startswith("Caused by: ")]
    return (causes[-1] if causes and "awaitResult" in told[0] else told[0])[:500]
