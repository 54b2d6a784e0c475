"""Rare operations by a user, while the job that writes the table is down.

rebuild        build Silver again from Bronze
recover        continue with a topic, or a Bronze table, that has changed
reset          remove everything that the pipeline created
systemd        a unit file for this pipeline
swap_folders   exchange two folders atomically
"""
