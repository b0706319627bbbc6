#!/bin/bash
#SBATCH --job-name=parallel
#SBATCH --output=parallel-%j.out
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --time=5:00
# A parallel step: srun starts four tasks on two nodes, and labels what each of them says.

echo "nodes: $SLURM_JOB_NODELIST"
srun --label bash -c 'echo "task $SLURM_PROCID of $SLURM_NTASKS on $SLURMD_NODENAME"; sleep 2'
