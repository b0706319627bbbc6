#!/bin/bash
#SBATCH --job-name=analyse
#SBATCH --output=analyse-%j.out
#SBATCH --time=5:00
# The second job of a chain: it starts when prepare.sh has ended well.

awk '{ sum += $1 } END { print "the mean of", NR, "numbers is", sum / NR }' numbers.txt
