#!/usr/bin/env bash
# A SLURM cluster of two virtual nodes (n1, n2) on this machine's loopback: slurm.sh up|down FOLDER, as root.
# No systemd, cgroups or accounting. What it changes outside FOLDER is taken back by `down`.
set -euo pipefail
folder=$(realpath -m "$2")
conf=/etc/slurm/slurm.conf
mark="# added by tests/cluster/slurm.sh"
host=$(hostname -s)

up() {
  [ ! -e "$conf" ] || { echo "error: $conf exists; this machine may belong to a cluster" >&2; exit 1; }
  mkdir -p "$folder"/{state,log} /etc/slurm /run/munge
  chown munge:munge /run/munge
  runuser -u munge -- /usr/sbin/munged --pid-file=/run/munge/munged.pid
  printf '127.0.0.1 n1 %s\n127.0.0.1 n2 %s\n' "$mark" "$mark" >> /etc/hosts
  cat > "$conf" <<CONF
ClusterName=virtual
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
KillWait=15
JobRequeue=1
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=virtual Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
  slurmctld
  for node in n1 n2; do slurmd -N "$node"; done
  for _ in $(seq 60); do
    if [ "$(sinfo --noheader --states=idle --format=%D)" = 2 ]; then sinfo; return; fi
    sleep 0.5
  done
  echo "error: the two nodes did not come up; see $folder/log" >&2
  exit 1
}

down() {
  # Only a cluster that `up` has made.
  if [ -e "$folder/slurmctld.pid" ]; then scancel --user=root 2>/dev/null || true; sleep 1; fi
  for pid in "$folder"/slurmd-n1.pid "$folder"/slurmd-n2.pid "$folder"/slurmctld.pid; do
    [ ! -e "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
  done
  if grep -qs "StateSaveLocation=$folder/state" "$conf"; then
    rm -f "$conf"
    [ ! -e /run/munge/munged.pid ] || kill "$(cat /run/munge/munged.pid)" 2>/dev/null || true
  fi
  # Not sed -i: in a container the file is a mount and cannot be replaced.
  kept=$(grep -v "$mark" /etc/hosts) && printf '%s\n' "$kept" > /etc/hosts
}

"$1"
