"""The scheduler's inner loops in C: the same rules as tracks.py, many times as fast.

library   loads the compiled file; where there is none, tracks.py does the work
tracks    the tracks of tracks.py over the compiled functions
tracks.c  the functions, compiled when the package is built
"""
