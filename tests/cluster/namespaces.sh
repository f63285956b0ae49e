#!/usr/bin/env bash
# Two hosts on one machine: network namespaces hosta (10.77.0.1) and hostb (10.77.0.2), joined by a cable. As root.
#     namespaces.sh up|down
set -euo pipefail

up() {
  for letter in a b; do ip netns add "host$letter"; done
  ip link add cablea type veth peer name cableb
  local number=1
  for letter in a b; do
    ip link set "cable$letter" netns "host$letter"
    ip -n "host$letter" addr add "10.77.0.$number/24" dev "cable$letter"
    ip -n "host$letter" link set "cable$letter" up
    ip -n "host$letter" link set lo up
    number=$((number + 1))
  done
}

down() {
  for letter in a b; do ip netns delete "host$letter" 2>/dev/null || true; done
  ip link delete cablea 2>/dev/null || true
}

"$1"
