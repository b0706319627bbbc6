#!/bin/bash
#SBATCH --job-name=array
#SBATCH --output=array-%A_%a.out
#SBATCH --array=1-6%3
#SBATCH --time=5:00
# A job array: six tasks, of which at most three run at a time.

echo "task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT, job $SLURM_JOB_ID on $SLURMD_NODENAME"
sleep 1
