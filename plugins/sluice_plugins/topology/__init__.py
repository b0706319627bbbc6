"""Built-in topology plugins: which lists of nodes to try for a job, nearest first.

flat       every node is as near as any other
tree       switches: the lowest switch that holds the job, on few leaves
block      blocks and their doublings; segments
dragonfly  groups: few of them, used evenly
torus      boxes on a torus of three dimensions, stretches of a ring
leaf_map   what maps of nodes in groups have in common
leaves     what the plugins of nodes in groups share: counting, fitting, choosing
boxes      where boxes of a torus have enough nodes
"""
