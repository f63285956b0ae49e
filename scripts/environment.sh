# Sourced by the other scripts: makes .venv with what EXTRAS names ("" or "test"), or reuses it when nothing has changed.
# Expects to be run from the repository's root; honours PIP_FIND_LINKS, which uv does not read by itself.

# Where this is set, each process compiles torch and transformers anew: 8 s and more.
unset PYTHONDONTWRITEBYTECODE

fail() { echo "error: $*" >&2; exit 1; }

pick_python() {
  local candidate
  for candidate in "${PYTHON:-python3.11}" python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$candidate"; return; fi
  done
  fail "Python 3.11 or newer is needed; set PYTHON to its path"
}

make_environment() {
  local extras="$1" wanted stamp
  wanted=$(cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
  stamp=".venv/installed-${extras:-base}-$wanted"
  # What was installed with the test extras holds the rest as well.
  if [ -f "$stamp" ] || [ -f ".venv/installed-test-$wanted" ]; then echo "== .venv is up to date"; return; fi
  if [ ! -x .venv/bin/python ]; then
    echo "== making .venv"
    "$(pick_python)" -m venv .venv || fail "could not make .venv"
  fi
  echo "== installing the tested versions into .venv (constraints.txt)"
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
  local installer=(.venv/bin/python -m pip install -q)
  # uv installs in seconds what pip needs minutes for.
  if .venv/bin/python -m pip install -q uv 2>/dev/null; then
    installer=(.venv/bin/python -m uv pip install -q --python .venv/bin/python)
    [ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
  fi
  "${installer[@]}" -c constraints.txt "$(grep '^torch==' constraints.txt)" -e ".${extras:+[$extras]}" || fail "the installation failed; see above"
  rm -f .venv/installed-"${extras:-base}"-*
  touch "$stamp"
}
