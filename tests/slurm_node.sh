#!/bin/sh
# A Slurm of one node, this machine: slurm_node.sh start FOLDER, or stop FOLDER. As root; needs slurm-wlm and munge.
set -eu
folder=$2
export SLURM_CONF="$folder/slurm.conf"
case $1 in
start)
  mkdir -p "$folder/state" "$folder/spool" /run/munge /var/lib/munge /var/log/munge
  chown munge:munge /run/munge /var/lib/munge /var/log/munge
  [ -e /etc/munge/munge.key ] || { dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key 2>/dev/null; }
  chown munge:munge /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
  if ! pgrep -x munged >/dev/null; then
    setpriv --reuid munge --regid munge --clear-groups munged
    touch "$folder/munged-is-ours"
  fi
  host=$(hostname -s)
  cat >"$SLURM_CONF" <<EOF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
SlurmctldPort=${3:-16817}
SlurmdPort=${4:-16818}
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
EOF
  slurmctld -f "$SLURM_CONF" -c
  slurmd -f "$SLURM_CONF"
  ;;
stop)
  scancel --user root 2>/dev/null || true
  for daemon in slurmd slurmctld; do
    [ ! -e "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" || true
  done
  if [ -e "$folder/munged-is-ours" ]; then
    kill "$(cat /run/munge/munged.pid)"
    while pgrep -x munged >/dev/null; do sleep 0.1; done # the next start would take it for one that stays
  fi
  ;;
esac
