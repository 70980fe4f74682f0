#!/bin/sh
# Compresses a small model in parts by real engines on this machine, and holds what they make against one command, byte by byte: Make; Slurm
# (Debian's slurm-wlm and munge, as root: a controller and two nodes on loopback), of which one task is killed and one node drained on the
# way; and Ray (from PyPI, in the Python that RAY names), of which a worker is killed. What is not there is skipped, and says so.
#
#   sh scripts/scale.sh MODEL SAMPLES [FLAGS]      the program is that on PATH
set -eu
modules=$(realpath "$(dirname "$0")/../python")
model=$(realpath "$1") samples=$(realpath "$2")
shift 2
dir=$(mktemp -d /tmp/scale.XXXXXX)
started=
finish() {
	for pid in $started; do kill "$pid" 2>/dev/null || true; done
	sleep 1
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM
cp "$model" "$dir/net.onnx"
cp -r "$samples" "$dir/$(basename "$samples")"
cd "$dir"
flags="--calib $(basename "$samples") --memory 1GiB --threads 1 $*"

held() {
	cmp plain.onnx "$1.onnx" && echo "PASS: $1 makes the bytes of one command"
	rm -rf net.parts
}

echo "one command"
# shellcheck disable=SC2086
onnx-compress net.onnx -o plain.onnx $flags -q

echo "make, 4 parts"
# shellcheck disable=SC2086
onnx-compress scale make net.onnx $flags --parts 4 -o make.onnx >compress.mk
make -s -j 2 -f compress.mk
held make

slurm() {
	mkdir slurm
	chmod 755 "$dir" slurm
	cat >slurm/slurm.conf <<EOF
ClusterName=scale
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/slurm/munge
StateSaveLocation=$dir/slurm/state
SlurmdSpoolDir=$dir/slurm/%n
SlurmctldPidFile=$dir/slurm/ctld.pid
SlurmdPidFile=$dir/slurm/%n.pid
SlurmctldLogFile=$dir/slurm/ctld.log
SlurmdLogFile=$dir/slurm/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1,sched_interval=2
MpiDefault=none
ReturnToService=2
NodeName=one NodeAddr=127.0.0.1 NodeHostname=$(hostname) Port=16818 CPUs=1 RealMemory=4000
NodeName=two NodeAddr=127.0.0.1 NodeHostname=$(hostname) Port=16819 CPUs=1 RealMemory=4000
PartitionName=all Nodes=ALL Default=YES State=UP
EOF
	export SLURM_CONF="$dir/slurm/slurm.conf"
	mkdir slurm/state
	munged --foreground --socket="$dir/slurm/munge" --key-file=/etc/munge/munge.key --pid-file="$dir/slurm/munge.pid" \
		--log-file="$dir/slurm/munge.log" --seed-file="$dir/slurm/munge.seed" --force 2>/dev/null &
	started="$started $!"
	sleep 2
	slurmctld -D -c >/dev/null 2>&1 &
	started="$! $started"
	sleep 3
	slurmd -D -N one >/dev/null 2>&1 &
	started="$! $started"
	slurmd -D -N two >/dev/null 2>&1 &
	started="$! $started"
	sleep 5
	sinfo
	# shellcheck disable=SC2086
	onnx-compress scale slurm net.onnx $flags --parts 8 -o slurm.onnx >compress.sh
	jobs=$(sh compress.sh)
	echo "$jobs"
	first=$(echo "$jobs" | sed 's/calibrate \([0-9]*\),.*/\1/') last=$(echo "$jobs" | sed 's/.* write //')
	until pid=$(pgrep -f "shard calibrate net.onnx.*--part 2/8" | tail -n 1) && [ -n "$pid" ]; do
		[ -e net.parts/stats-2.ocs ] && break
		sleep 0.2
	done
	if [ -n "$pid" ]; then
		kill -9 "$pid" && echo "killed: part 2 of the calibration, process $pid"
	fi
	scontrol update nodename=two state=drain reason=trial && echo "drained: node two"
	while squeue -h -j "$first,$last" 2>/dev/null | grep -q .; do
		sleep 2
	done
	scontrol show job "$last" | grep -E 'JobState|Restarts'
	scontrol show job "$first" | grep -c 'Restarts=[1-9]' | sed 's/^/tasks of the calibration that ran again: /' || true
	held slurm
}
if command -v slurmctld >/dev/null && command -v munged >/dev/null && [ "$(id -u)" = 0 ]; then
	echo "Slurm, 8 parts"
	slurm
else
	echo "SKIPPED: Slurm: there is no slurmctld or munged (Debian: slurm-wlm and munge), or this is not root"
fi

if "${RAY:-python3}" -c 'import ray' 2>/dev/null; then
	echo "Ray, 4 parts"
	# shellcheck disable=SC2086
	onnx-compress scale ray net.onnx $flags --parts 4 -o ray.onnx >compress.py
	sed -i 's/^ray.init()/ray.init(num_cpus=2, include_dashboard=False)/' compress.py
	PYTHONPATH="$modules" "${RAY:-python3}" compress.py >ray.log 2>&1 &
	python=$!
	started="$python $started"
	until worker=$(pgrep -f "ray::run" | head -n 1) && [ -n "$worker" ]; do
		kill -0 "$python" || break
		sleep 0.2
	done
	[ -n "$worker" ] && kill -9 "$worker" && echo "killed: a worker of Ray, process $worker"
	wait "$python" || { cat ray.log; exit 1; }
	held ray
else
	echo "SKIPPED: Ray: no module ray in ${RAY:-python3}"
fi
