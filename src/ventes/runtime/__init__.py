"""What every process of the pipeline shares.

alert_records       what the alerts service knows of each alert, and its silences
alert_sentence      what an alert says
allocator           the C library gives back what a job has freed
child_environment   locale, limits and variables of the processes that are started
counts              numbers of things as people read them
disk                free space
distribution        counts of values between bounds, for a histogram
durations           durations as people read them
exit_codes          what a job's exit code means
failpoints          ends a process at a named point, for tests
files               small files, written whole or not at all
heartbeat           the status record that each service writes
java_errors         finds the line with the cause in a Java program's output
launch              restarts a script with the virtual environment's Python
log_files           the end of a log; trimming it
logs                log lines
measured            what a measurement for the metrics found: data classes only
parent_death        a child process ends with the process that started it
pipeline_status     the answer of `ventes status`: data classes only
private_files       files and folders that only this user can access; unsafe places are refused
project             names of files relative to the project
redaction           removes secrets from logs and run records
scratch             temporary folders, one for each process
stop                handles SIGTERM and SIGINT
tcp                 whether one of several servers takes a connection
umask               new files are accessible to this user only
"""
