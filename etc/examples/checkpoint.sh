#!/bin/bash
#SBATCH --job-name=checkpoint
#SBATCH --output=checkpoint-%j.out
#SBATCH --open-mode=append
#SBATCH --time=2:00
#SBATCH --requeue
#SBATCH --signal=USR1@30
# A program that needs more time than it gets: warned 30 seconds before its limit, or when it is preempted, it saves what
# it has; the job goes back to the queue and continues in its next run.

srun python3 count.py "${1:-30000}"
code=$?
if [ $code = 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60  # until the requeue ends this run
fi
exit $code
