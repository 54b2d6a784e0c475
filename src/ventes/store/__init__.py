"""Where a lake's objects are kept: a folder of this machine, or an object store (S3, Google Cloud, Azure).

base          the seam `Store`, and what its operations raise
local         a folder, each change durable when it returns
objects       an object store, through obstore
settings_of   endpoint, region and credentials: the environment and a file
mirror        the folder on this machine that stands for a lake on a store
mirror_log    the Delta logs in it
eviction      keeps it within its bound in bytes
places        which mirror a path belongs to
lease         who writes a lake on a store
reader_notes  who reads one moment of it for long

Imports nothing of this project but `ventes.errors`.
"""
