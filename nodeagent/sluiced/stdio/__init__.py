"""A step's input and output: files opened as the user, and streams to and from srun.

file_names    patterns to paths
output_files  opening, with a sentence for each way to fail; reading the end
srun_link     frames on srun's connection, without an event loop
relay         between pipes or a terminal and srun, with flow control
attached      sattach's connections: the same frames, none of the rights
tail          the end of a stream in bounded memory
"""
