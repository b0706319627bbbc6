/* Asks for two more processes, which nobody gives it: the error is handed back. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
    int code;
    MPI_Comm other;

    MPI_Init(&argc, &argv);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    code = MPI_Comm_spawn(argv[0], MPI_ARGV_NULL, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &other, MPI_ERRCODES_IGNORE);
    printf("%s\n", code == MPI_SUCCESS ? "spawned" : "refused");
    MPI_Finalize();
    return 0;
}
