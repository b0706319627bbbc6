#!/bin/bash
#SBATCH --job-name=serial
#SBATCH --output=serial-%j.out
#SBATCH --time=5:00
# A serial job: one task with one CPU.

echo "job $SLURM_JOB_ID runs on $SLURMD_NODENAME with $SLURM_CPUS_ON_NODE CPU"
python3 -c 'print("the sum of the first million numbers is", sum(range(1_000_001)))'
sleep 2
