#!/bin/bash
# A tour in half a minute: a cluster of three nodes on this machine, the example jobs, their queue, output and
# accounting, and everything taken down again.
set -euo pipefail

root=$(pwd)
place=$root/.demo
export PATH=$root/${VENV:-.venv}/bin:$PATH
unset SLUICE_CONF
QUEUE_LIMIT_S=120

say() {
    # Bold on a terminal; a file or a pipe gets the text alone.
    if [ -t 1 ]; then
        printf '\n\033[1m# %s\033[0m\n' "$*"
    else
        printf '\n# %s\n' "$*"
    fi
}

show() {
    printf '$ %s\n' "$*"
    "$@"
}

take_down() {
    status=$?
    say "Take the cluster down"
    show sluice down --dir "$place/cluster" || status=1
    exit "$status"
}

wait_for_jobs() {
    local ends=$((SECONDS + QUEUE_LIMIT_S))
    while [ -n "$(squeue --noheader)" ]; do
        if [ "$SECONDS" -gt "$ends" ]; then
            echo "jobs are still there after $QUEUE_LIMIT_S s" >&2
            return 1
        fi
        show squeue
        sleep 1
    done
}

if [ -e "$place/cluster/setup.json" ]; then
    sluice down --dir "$place/cluster" --force --delete
fi
rm -rf "$place"
mkdir -p "$place/jobs"

say "Bring up a cluster of three nodes on this machine"
trap take_down EXIT
printf '$ eval "$(sluice up)"\n'
exports=$(sluice up --dir "$place/cluster" --nodes 3 --cpus 4)
eval "$exports"
show sinfo

say "Submit a serial job, an array, a chain and a parallel step"
cd "$place/jobs"
cp "$root"/etc/examples/*.sh .
show sbatch serial.sh
show sbatch array.sh
prepared=$(sbatch --parsable prepare.sh)
printf '$ sbatch --parsable prepare.sh\n%s\n' "$prepared"
show sbatch --dependency=afterok:"$prepared" analyse.sh
show sbatch parallel.sh

say "The queue while they run"
wait_for_jobs

say "What they wrote"
for file in serial-*.out array-*.out prepare-*.out analyse-*.out parallel-*.out; do
    show cat "$file"
done

say "Accounting"
show sacct --format=JobID%-12,JobName%10,Partition,AllocCPUS,State,ExitCode,Elapsed,NodeList%12
failed=$(sacct --noheader --allocations --parsable2 --format=JobID,State | grep -v '|COMPLETED$' || true)
if [ -n "$failed" ]; then
    printf 'these jobs did not complete:\n%s\n' "$failed" >&2
    exit 1
fi
