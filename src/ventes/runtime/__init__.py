"""What every process of the pipeline shares.

child_environment   locale, limits and variables of the processes that are started
disk                free space
durations           durations as people read them
exit_codes          what a job's exit code means
failpoints          ends a process at a named point, for tests
files               small files, written whole or not at all
heartbeat           the record that a service writes of itself
java_errors         the line of a Java error that says why
launch              how a script gets into the virtual environment
log_files           the end of a log; trimming it
logs                log lines
pipeline_status     the answer of `ventes status`: shapes only
private_files       files and folders of this user alone; what others could change is refused
project             names of files relative to the project
redaction           takes secrets out of texts that are written
stop                how a process is told to end
umask               what this process creates is its user's alone
"""
