"""Files for the nodes of a job (sbcast): taken as the job's user, passed on to other nodes.  No asyncio.

order       what a receiver is told
receiver    the process that takes one file on this node
landing     the file here: hidden until it is whole
passing_on  the same bytes to the nodes below in the tree
peer        a blocking connection that speaks frames
"""
