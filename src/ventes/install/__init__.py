"""Installing: packages, jars, Java, class archives. Of this project it imports only errors, config and runtime.

steps                    the steps of an installation, in order
asked_engine             the engine that the user asks for, read before anything is installed
environment              the virtual environment
jars, maven              the pinned jars, and their download
certificates             trusted certificate authorities
java                     finding a Java
spark                    whether the Spark engine is installed
class_archive            JVM options for a class-data archive
class_archive_training   making the class-data archives
"""
