#!/bin/bash
# One SLURM job with one driver: sbatch slurm_search.sh RUN [options of nas search]
# It is requeued when its time is over or when it is preempted, and then continues the run.
# RUN must be on a disk that every node sees. NAS_JOB=compress, sweep or adapt for another job.

#SBATCH --job-name=nas
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@180

set -uo pipefail
run=$1
shift

nas "${NAS_JOB:-search}" --run "$run" --workers "${SLURM_CPUS_PER_TASK:-1}" --grace 120 "$@" &
driver=$!
stopped=no
trap 'stopped=yes; kill -TERM "$driver"' TERM # SLURM signals this shell; the driver must hear it

wait "$driver"
code=$?
if [ "$stopped" = yes ]; then # the signal ended the first wait, not the driver
    wait "$driver"
    code=$?
fi
if [ "$code" = 143 ]; then # interrupted: the same command continues
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
