"""Installing: packages, jars, Java, class archives. Imports nothing of ours but errors, config and runtime.

steps                    what an installation does, in order
asked_engine             which engine is asked for, before anything is installed
environment              the virtual environment
jars, maven              which jars, and how they are fetched
certificates             whom to trust
java                     which Java is used
spark                    whether the Spark engine is installed
class_archive            how a JVM uses its archive
class_archive_training   how the archives are made
"""
