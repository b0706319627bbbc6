/* The last rank aborts, exits or crashes, as argv[1] says; the others wait for it. */
#include <mpi.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int rank, size;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    /* MPI_Init returns while others still connect to this one: they are to wait, not to fail there. */
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == size - 1) {
        if (strcmp(argv[1], "abort") == 0) {
            MPI_Abort(MPI_COMM_WORLD, 7);
        } else if (strcmp(argv[1], "exit") == 0) {
            _exit(0);
        }
        kill(getpid(), SIGKILL);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    pause();
    return 0;
}
