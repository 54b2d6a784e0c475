"""Rare operations by a user, while the job that writes the table is down.

rebuild        build Silver again from Bronze
recover        continue with a topic, or a Bronze table, that has changed
reset          remove everything that the pipeline created
lake_copy      copy a lake to another folder or object store
generations    the next Silver on an object store, beside the one that counts
spark_environment   one file with the packages for the workers of a Spark cluster
systemd        a unit file for this pipeline
swap_folders   exchange two folders atomically
"""
