#!/bin/bash
#SBATCH --job-name=prepare
#SBATCH --output=prepare-%j.out
#SBATCH --time=5:00
# The first job of a chain; analyse.sh waits for it:
#
#     sbatch --dependency=afterok:$(sbatch --parsable prepare.sh) analyse.sh

seq 1 100 > numbers.txt
echo "wrote $(wc -l < numbers.txt) numbers"
sleep 2
