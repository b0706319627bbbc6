/* Every rank says which of the programs of its MPI_COMM_WORLD it runs (MPI_APPNUM), and the sum of all ranks. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
    int rank, size, mine, found, sum = 0, *app = NULL;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, &app, &found);
    mine = rank + 1;
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("%s: program %d rank %d of %d sum %d\n", argc > 1 ? argv[1] : "it", found ? *app : -1, rank, size, sum);
    MPI_Finalize();
    return 0;
}
