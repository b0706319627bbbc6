"""How the parts of a cluster talk: bounded msgpack frames over sockets, and who is at the other end.

docs/wire.md is the specification.  framing, faults, light and light_connection are light modules; the rest is
the daemons'.

framing      the layout of a frame, its kinds and limits; bytes in, whole frames out
faults       error codes and the exceptions that they become on the other side
light        how commands reach a daemon, and how often they try
light_connection
             the commands' synchronous connection
not_text     text that no frame can carry, and what to tell of it
messages     the requests and replies by name; defined in bodies/, by who talks to whom
envelope     frames to and from msgspec records
limits       every bound and deadline of a connection, in one record
quiet        log lines that cannot flood
pending      requests of ours that wait for a reply
incoming     requests of the peer that are not answered yet
responder    the handle by which a request is answered, now or later
handler      what a daemon does with the frames of its peers
outbox       frames on their way out, batched and bounded
connection   one connection, the same on both sides: requests, notices, batching, bounds
admission    who is at the other end, established before anything is dispatched
census       how many connections there are, and of whom
server       listeners and the connections made through them
unixpath     a listening UNIX socket at a path, safely
client       connecting, and connecting again for ever
identity     the record of a caller, and what an authenticator is
credentials  auth/key: HMAC credentials under a cluster key
keyfile      the file that holds the cluster key
replay       the nonces already seen
"""
