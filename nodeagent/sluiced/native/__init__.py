"""What has to be C, because Python cannot stand between a fork and an exec without copying itself.

spawn.c   a task from its plan to its program; compiled when the package is built or installed
library   the compiled function, loaded once
"""
