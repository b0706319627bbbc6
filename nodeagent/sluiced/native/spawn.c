/* From a task's plan to its program without copying the step daemon: vfork, what a task does to itself, exec.

   The child runs on its parent's memory and stack, and the parent waits until the child is the program or has exited.
   So nothing here allocates, and nothing calls what may keep state of a process: the user is changed by bare system
   calls, for the C library would tell threads of it.  Whatever fails ends the child; task->stage and task->error say
   what it was, and the caller starts the task again in the way that can tell its user.

   A file system that does not answer, or a user who stops the child, makes the parent wait for task->patience_ms: a timer
   that an exec deletes kills the child then.

   The parent's memory is not the user's to read meanwhile: with the change of the user it is no longer "dumpable"
   (ptrace(2)). */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct limit {
    int32_t resource;
    uint64_t soft, hard;
};

/* In the order of library.py. */
struct task {
    /* What the program may be: the first that can be executed is it.  NULL ends each list. */
    const char *const *programs;
    char *const *argv;
    char *const *environment;
    /* Inside of the environment: room for the pid's digits, and for the folder as the kernel names it. */
    char *pid_text, *folder_text;
    const char *work_dir;
    /* Control files to which "0" is written; a cgroup to be born in, -1 for none. */
    const char *const *group_files;
    int32_t group;
    /* A mount namespace, -1 for none. */
    int32_t mounts;
    /* What becomes 0, 1 and so on; as much room for what they are meanwhile. */
    const int32_t *descriptors;
    int32_t *moved;
    int32_t descriptor_count;
    /* A mask of CPUs, none for a size of 0. */
    int32_t cpus_size;
    const char *cpus;
    const struct limit *limits;
    int32_t limit_count;
    /* Whom to become, unless is_own. */
    int32_t is_own;
    uint32_t uid, gid;
    const uint32_t *groups;
    int32_t group_count;
    int32_t has_nice, nice;
    uint32_t umask;
    /* How long it may take to be the program. */
    int32_t patience_ms;
    /* What failed before the program began; NULL: nothing did. */
    const char *stage;
    int32_t error;
};

#define FOLDER_SIZE 4096

static _Noreturn void fail(struct task *task, const char *stage)
{
    task->error = errno;
    task->stage = stage;
    _exit(127);
}

/* No handler of the parent's may run here, for its data are the parent's; what is ignored stays ignored. */
static void reset_signals(void)
{
    struct sigaction action;
    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action) != 0 || action.sa_handler == SIG_IGN || action.sa_handler == SIG_DFL)
            continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(number, &action, NULL);
    }
    sigemptyset(&action.sa_mask);
    sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
}

/* By bare system calls: the C library would allocate. */
static void set_patience(struct task *task)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec after = {.it_value = {task->patience_ms / 1000, task->patience_ms % 1000 * 1000000L}};
    int32_t timer;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0 ||
        syscall(SYS_timer_settime, timer, 0, &after, NULL) != 0)
        fail(task, "timer");
}

static void enter_groups(struct task *task)
{
    for (const char *const *file = task->group_files; *file != NULL; file++) {
        int descriptor = open(*file, O_WRONLY | O_CLOEXEC);
        if (descriptor < 0 || write(descriptor, "0", 1) != 1)
            fail(task, *file);
        close(descriptor);
    }
}

/* First out of the way: one of them may have the number that another one is to get. */
static void set_descriptors(struct task *task)
{
    int count = task->descriptor_count;
    for (int i = 0; i < count; i++)
        if ((task->moved[i] = fcntl(task->descriptors[i], F_DUPFD_CLOEXEC, count)) < 0)
            fail(task, "descriptors");
    for (int i = 0; i < count; i++)
        if (dup2(task->moved[i], i) < 0)
            fail(task, "descriptors");
    if (syscall(SYS_close_range, (unsigned)count, ~0U, 0) != 0)
        fail(task, "close_range");
}

/* What the kernel refuses leaves the task as it is. */
static void set_bounds(struct task *task)
{
    if (task->cpus_size)
        syscall(SYS_sched_setaffinity, 0, (size_t)task->cpus_size, task->cpus);
    for (int i = 0; i < task->limit_count; i++) {
        struct rlimit limit = {task->limits[i].soft, task->limits[i].hard};
        setrlimit(task->limits[i].resource, &limit);
    }
}

static void become(struct task *task)
{
    if (task->is_own)
        return;
    if (syscall(SYS_setgroups, (size_t)task->group_count, task->groups) != 0 ||
        syscall(SYS_setresgid, task->gid, task->gid, task->gid) != 0 ||
        syscall(SYS_setresuid, task->uid, task->uid, task->uid) != 0)
        fail(task, "user");
}

static void write_number(char *text, unsigned number)
{
    char digits[16];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *text++ = digits[--count];
    *text = 0;
}

static void execute(struct task *task)
{
    struct stat found;
    for (const char *const *program = task->programs; *program != NULL; program++) {
        int is_last = program[1] == NULL;
        if (!is_last && (stat(*program, &found) != 0 || !S_ISREG(found.st_mode) || access(*program, X_OK) != 0))
            continue;
        execve(*program, task->argv, task->environment);
        fail(task, "execve");
    }
    errno = ENOENT;
    fail(task, "execve");
}

static __attribute__((noinline)) _Noreturn void run(struct task *task)
{
    reset_signals();
    set_patience(task);
    enter_groups(task);
    if (task->mounts >= 0 && syscall(SYS_setns, task->mounts, CLONE_NEWNS) != 0)
        fail(task, "mounts");
    set_descriptors(task);
    setpgid(0, 0);
    set_bounds(task);
    become(task);
    if (task->has_nice)
        syscall(SYS_setpriority, PRIO_PROCESS, 0, task->nice);
    umask(task->umask);
    if (chdir(task->work_dir) != 0 || syscall(SYS_getcwd, task->folder_text, (size_t)FOLDER_SIZE) < 0)
        fail(task, "folder");
    if (task->folder_text[0] != '/') {
        errno = ENOENT;
        fail(task, "folder");
    }
    write_number(task->pid_text, (unsigned)getpid());
    execute(task);
    _exit(127);
}

/* The system call stands here itself: a function that makes it would return twice over the same stack. */
static __attribute__((noinline)) long vfork_and_run(struct clone_args *arguments, struct task *task)
{
    long result;
#if defined(__x86_64__)
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long first __asm__("x0") = (long)arguments;
    register long second __asm__("x1") = (long)sizeof *arguments;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second) : "memory");
    result = first;
#else
    result = -ENOSYS;
#endif
    if (result == 0)
        run(task);
    return result;
}

/* Was the child killed before it was the program?  Only time tells that from a program that has ended. */
static int was_late(struct task *task, pid_t pid, const struct timespec *began)
{
    struct timespec now;
    siginfo_t found = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (now.tv_sec - began->tv_sec) * 1000LL + (now.tv_nsec - began->tv_nsec) / 1000000;
    if (ms < task->patience_ms || waitid(P_PID, (id_t)pid, &found, WEXITED | WNOHANG | WNOWAIT) != 0)
        return 0;
    return found.si_pid == pid && found.si_code == CLD_KILLED && found.si_status == SIGKILL;
}

/* Return the pid of the program, or -1 where there is none: task->stage and task->error say why. */
int32_t sluice_spawn(struct task *task)
{
    struct clone_args arguments = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    sigset_t all, before;
    struct timespec began;
    if (task->group >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)task->group;
    }
    task->stage = NULL;
    clock_gettime(CLOCK_MONOTONIC, &began);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    long pid = vfork_and_run(&arguments, task);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        task->error = (int32_t)-pid;
        task->stage = "clone3";
        return -1;
    }
    if (task->stage == NULL && was_late(task, (pid_t)pid, &began))
        task->stage = "late";
    if (task->stage != NULL) {
        while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return -1;
    }
    return (int32_t)pid;
}
