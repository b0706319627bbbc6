"""How long a request for an allocation and its salloc or srun wait for each other when they have lost touch.

A light module: commands import it.
"""

#: After a restart of the controller, which takes every connection: a command that is stopped (Ctrl-Z) comes back when
#: somebody is there to let it, maybe after the weekend.  The controller keeps the request for so long, starting
#: nothing for it, and a command asks for so long for a controller that is away.
RETURN_GRACE_S = 7 * 86400.0
