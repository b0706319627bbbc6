"""srun --mpi: what the tasks of a step talk to while they wire themselves up, and how they find it.

none   nothing
pmi2   PMI-1 and PMI-2: MPICH and its relatives
pmix   PMIx: Open MPI, and whatever else speaks it
"""
