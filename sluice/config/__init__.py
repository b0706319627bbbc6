"""The configuration: slurm.conf's grammar and keys, parsed once into frozen records.

A reload is load(), diff() against what is in force, and one event; nothing here knows of daemons.

grammar           files to logical lines of (key, value): comments, quotes, continuation, Include
kinds             kinds of values: text to value, unit, what was expected
key               a key as a row of a table, and look-ups
schema            every key of every file; rows in schema_cluster, schema_objects and schema_topology
settings          the cluster-wide settings, typed
node_setup        what an agent is told of its node's hardware
records           ClusterConfig and the nodes, partitions, GRES lines and cgroup settings in it
problems          errors and warnings, collected
lines             one line to values by its table
topology          CPUs against sockets, cores and threads
build_settings, build_nodes, build_partitions, build_files
                  lines of one kind to records
build_topology, topology_yaml, topology_units
                  topology.conf or topology.yaml to topologies, and what must hold in one
load              a file and all beside it to one ClusterConfig, or every error in it
check             the report of `sluice config check`
show              the list of `scontrol show config`
diff              what changes from one configuration to the next
light             where the configuration is and whom to talk to, for commands (light)
"""
