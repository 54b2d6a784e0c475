"""`make chaos`: a whole pipeline under load, and a random sequence of faults that a seed repeats. See docs/chaos.md.

schedule    the steps, derived from a seed (pure)
deployment  the pipeline: folders, disks, settings, the real `ventes` command
load        a producer that keeps a ledger of what the broker acknowledged
ledger      the ledger and its comparison with Bronze (pure)
faults      carries out one step
watch       samples status, processes and files during the steps
honesty     checks the answers of `ventes status` over time (pure)
hygiene     finds leftovers: processes, ports, locks, files; and too many log lines
run         the sequence: steps, end of all faults, checks, until the time is over
report      lines on the terminal, files in the results folder
"""
