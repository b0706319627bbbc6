"""The node agents as the controller sees them: connections, orders, heartbeats.

health     which nodes are checked when
agents     which connection speaks for which node; orders batched per connection; who fell silent
"""
