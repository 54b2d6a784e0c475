"""The line of a Java program's output that has the cause of its failure."""

import pytest

from ventes.runtime.java_errors import cause

TURKISH = """\
NOTE: Picked up JDK_JAVA_OPTIONS: -Duser.language=tr
Exception in thread "main" java.lang.ExceptionInInitializerError
\tat kafka.server.KafkaConfig$.<clinit>(KafkaConfig.scala:58)
\tat kafka.Kafka.main(Kafka.scala)
Caused by: java.lang.IllegalArgumentException: No enum constant org.apache.kafka.GroupType.CLASSİC
\tat java.base/java.lang.Enum.valueOf(Enum.java:273)
\t... 12 more
"""
FILES = """\
[0.012s][warning][cds] Unable to use shared archive.
[0.013s][error][cds] Unable to use shared archive.
Exception in thread "main" java.nio.file.FileSystemException: /x/spark.jar: Too many open files
\tat java.base/sun.nio.fs.UnixException.translateToIOException(UnixException.java:100)
"""
BROKER = """\
[2026-11-23 10:00:00,000] INFO starting (kafka.server.KafkaRaftServer)
[2026-11-23 10:00:00,100] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)
java.lang.RuntimeException: Unable to lock /x/data
\tat kafka.Kafka$.main(Kafka.scala:100)
Caused by: java.io.IOException: No locks available
\tat x.Y.z(Y.java)
"""
MEMORY = """\
Error occurred during initialization of VM
Could not reserve enough space for 1048576KB object heap
"""


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (TURKISH, "java.lang.IllegalArgumentException: No enum constant org.apache.kafka.GroupType.CLASSİC"),
        (FILES, 'Exception in thread "main" java.nio.file.FileSystemException: /x/spark.jar: Too many open files'),
        (BROKER, "java.lang.RuntimeException: Unable to lock /x/data"),
        (MEMORY, "Could not reserve enough space for 1048576KB object heap"),
        ("OpenJDK 64-Bit Server VM warning: Option X was deprecated\nplain words\nmore words\n", "plain words"),
        ("[10:00:00] ERROR No space left (kafka.log)\nmore words\n", "[10:00:00] ERROR No space left (kafka.log)"),
        (
            "Error: Could not find or load main class kafka.Kafka\n",
            "Error: Could not find or load main class kafka.Kafka",
        ),
        (
            "Unrecognized option: -Xbad\nError: Could not create the Java Virtual Machine.\n",
            "Unrecognized option: -Xbad",
        ),
        ("", ""),
        ("\tat x.Y.z(Y.java)\n\n", ""),
    ],
)
def test_the_cause_is_no_note_and_no_line_of_a_stack(said, line):
    assert cause(said) == line


def test_a_long_line_is_cut():
    assert len(cause("java.lang.Error: " + "x" * 1000)) == 300
