"""What a person asks for now and then, while the job that writes is down.

rebuild        Silver anew from Bronze
recover        go on with a topic, or a Bronze table, that is not what it was
reset          remove what the pipeline made
swap_folders   two folders exchanged at once
"""
