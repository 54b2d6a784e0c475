"""Finds the line that names the cause in the output of a failed Java program."""

from __future__ import annotations

import re

_FRAME = re.compile(r"\s+at \S+\(.*\)\s*$|\s+\.\.\. \d+ (?:more|common frames)")
_NOISE = re.compile(
    r"""NOTE:\ |Picked\ up\ |WARNING:\ |.*\bVM\ warning:                                   # options of the JVM
    | \[[^]]*\]\[(?:info|warning|error)\s*\] | .*Unable\ to\ use\ shared\ archive            # class-data archive
    | Error\ occurred\ during\ initialization | Error:\ (?:Could\ not\ create|A\ (?:fatal|JNI))   # headings
    | .*/spark-class:\ line\ \d+:                                                          # a JVM that was killed
    | .*\s(?:DEBUG|INFO|WARN)\s                                                            # log""",
    re.VERBOSE,
)
_LOGGED = re.compile(r".*\b(?:ERROR|FATAL)\b")
_THROWN = re.compile(r"""(?:Exception\ in\ thread\ ".*?"\ )?(?:[\w$]+\.)*[\w$]*(?:Exception|Error)\b""", re.VERBOSE)
_CAUSED_BY = "Caused by: "


def is_frame(line: str) -> bool:
    """Whether a line belongs to a stack trace, below the exception."""
    return _FRAME.match(line) is not None


def cause(text: str) -> str:
    """The line of a Java program's output with the cause of its failure, at most 300 characters; '' if there is none.

    That is the first exception (behind the first line that is logged as an error, if one is), else the first line that
    is not a note of the JVM; never a line of a stack trace. For an exception without information of its own, such as
    ExceptionInInitializerError, its last "Caused by" is returned.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not (_NOISE.match(line) or is_frame(line))]
    first = next((number for number, line in enumerate(lines) if _LOGGED.match(line)), 0)
    lines = lines[first:]
    for number, line in enumerate(lines):
        if thrown := _THROWN.match(line):
            below = [other for other in lines[number:] if other.startswith(_CAUSED_BY)]
            silent = thrown.end() == len(line)
            return (below[-1].removeprefix(_CAUSED_BY) if silent and below else line)[:300]
    return lines[0][:300] if lines else ""
