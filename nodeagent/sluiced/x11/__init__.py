"""X clients of a job on this node, on their way to the display of whoever forwards them (--x11).  No asyncio.

The extern step listens where X clients look for a display; what they say goes through the connection of the srun or
salloc that asked, which alone knows the real display and its cookie.

display     a free display number: the ports that clients connect to
xauthority  the file in which clients find the cookie
forward     one forwarding: the listener, its clients, their streams
displays    all of a job
"""
