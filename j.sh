#!/bin/bash
srun -n2 -N2 sleep 40
echo rc=$?
srun -n1 echo next
