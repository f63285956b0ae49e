# shellcheck shell=bash
# Sourced by scripts/test.sh: what the tests of this folder need from the system, installed where that is allowed.

declare -A package_of=([ip]=iproute2 [slurmctld]=slurm-wlm [munged]=munge)

require_packages() {
  [ "$(id -u)" = 0 ] || fail "the cluster tests make network namespaces and start SLURM, which only root may"
  [ "$(uname -s)" = Linux ] || fail "the cluster tests need Linux: network namespaces and SLURM"
  local command missing=()
  for command in "${!package_of[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$command" > /dev/null || missing+=("${package_of[$command]}")
  done
  [ "${#missing[@]}" != 0 ] || return 0
  command -v apt-get > /dev/null || fail "install ${missing[*]} first; there is no apt-get here to do it"
  echo "== installing ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"; } \
    > /dev/null || fail "apt-get could not install ${missing[*]}"
}
