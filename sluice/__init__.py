"""Sluice's shared words, records, configuration, wire and public Python API; no daemon is known here.

errors        the exception tree
error_texts   Slurm's sentence for each code of a refused request
start         where programs begin
standard_streams  what they print on: there, and told when it is lost
clock         wall and virtual time
hostlist, duration, timepoint, size, gres_spec, tres, nodeset, jobid_spec, array_spec, filename_pattern,
dependency_spec, signal_spec, cpu_bind, mem_bind, gpu_bind, distribution, license_spec, feature_expr, shell_words,
cpus_per_node, cpuset, pmix_version
              one little language each: grammar, parse, format
absence       how long a queued request and its command wait for each other
fanout        sharing targets out over a tree
job_env       the environment that a job and its tasks see
hook_env      the environment that the site's programs around a job see
programs      running a site's own programs: in order, with a deadline, their last words as evidence
model/        the records that are kept, stored and sent
config/       slurm.conf's grammar: schema, parse, check, show, diff
steps/        what each step of an allocation gets, and what became of it
wire/         frames, messages, credentials, clients and server
api           the public Python client
job           for programs inside a job: why a signal comes, and until when there is time
local/        a cluster on this machine: `sluice up`, `status`, `down`
testing       a live cluster as a pytest fixture
"""

__version__ = "0.1.0"
#: What the drop-in commands print for -V (CLIENTS section 1).
SLURM_VERSION = "25.05.0"
