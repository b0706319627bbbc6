"""GPUs and other generic resources of a node: what is there, which unit is which device, and who may see it.

device       the records: a device found, a unit of the node
nvml         NVIDIA's library, loaded when it is asked for
ailment      why one of them should not be used
xids         what the driver has said of each in the kernel's log
health       how they are now, in a process of its own
processes    what it tells of the processes on them
owners       which step a process belongs to
tally        what each step had of them
sampler      the process that looks at it, for all steps of the node
nvidia_proc  NVIDIA's devices, from the driver's own files
drm          AMD's and Intel's devices, from the kernel's own files
capability   which device files a MIG instance needs
units        gres.conf, the configured counts and what was found, put together
shards       which GPU a shard is a part of
measure      all of it for this machine
bind         --gpu-bind: the units of each task
environment  CUDA_VISIBLE_DEVICES and its relatives
fence        the device files that a job or a task may open
plan         from a launch to each task's units, variables and fence
"""
