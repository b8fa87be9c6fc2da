#!/bin/bash
# A SLURM array that is one Ray cluster: sbatch slurm_ray_array.sh RUN [options of nas search]
# The first task starts Ray's head and the driver. The others join as workers whenever they start,
# and join the next head if the first task is requeued. RUN must be on a disk that all nodes see.
# NAS_JOB=compress, sweep or adapt for another job.

#SBATCH --job-name=nas-ray
#SBATCH --array=0-7
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
cpus=${SLURM_CPUS_PER_TASK:-1}
job=$SLURM_ARRAY_JOB_ID
address_file=$run.$job.address # holds the head's address while there is one
done_file=$run.$job.done       # appears when the run has ended
export RAY_USAGE_STATS_ENABLED=0
mkdir -p "$(dirname "$run")"

work() { # join one head after the other until the run has ended
    until [ -e "$done_file" ]; do
        if [ -e "$address_file" ]; then
            ray start --address "$(cat "$address_file")" --num-cpus "$cpus" --block
        fi
        sleep "${NAS_POLL_SECONDS:-5}"
    done
}

lead() { # start the head, then the driver
    ip=$(hostname -I | cut -d' ' -f1)
    port=$((20000 + job % 20000))
    ray start --head --node-ip-address "$ip" --port "$port" --num-cpus "$cpus" --block &
    head=$!
    sleep "${NAS_POLL_SECONDS:-5}"
    echo "$ip:$port" >"$address_file.new" && mv "$address_file.new" "$address_file"

    nas "${NAS_JOB:-search}" --run "$run" --ray-address "$ip:$port" --grace 120 "$@" &
    driver=$!
    stopped=no
    trap 'stopped=yes; kill -TERM "$driver"' TERM
    wait "$driver"
    code=$?
    if [ "$stopped" = yes ]; then # the signal ended the first wait, not the driver
        wait "$driver"
        code=$?
    fi
    rm -f "$address_file"
    kill "$head"
    if [ "$code" = 143 ]; then # interrupted: the same command continues
        scontrol requeue "${job}_${SLURM_ARRAY_TASK_ID}"
    else
        touch "$done_file"
    fi
    exit "$code"
}

if [ "$SLURM_ARRAY_TASK_ID" = 0 ]; then
    rm -f "$done_file"
    lead "$@"
else
    work
fi
