#!/usr/bin/env bash
# Installs what is missing, then starts the pipeline. Safe to run again at any time, from any folder.
set -euo pipefail

usage() {
  cat <<'TEXT'
bash start_pipeline.sh [OPTIONS]

Installs what is missing into this folder (.venv, .ventes; minutes the first time, nothing later), then runs
`.venv/bin/ventes start` with your options:

  --engine spark|embedded   the engine of the two jobs (default: VENTES_ENGINE, ventes.toml, else spark);
                            Spark itself is installed when this engine is first asked for
  --foreground              stay attached; Ctrl-C stops the pipeline

Needs Python 3.10 or newer. Stop with `.venv/bin/ventes stop`, look with `.venv/bin/ventes status`.
TEXT
}

fail() { printf 'start_pipeline: %s\n' "$1" >&2; exit 1; }

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }

find_python() {
  local name
  for name in "$root/.venv/bin/python" python3 python3.13 python3.12 python3.11 python3.10 python; do
    if suits "$name"; then printf '%s\n' "$name"; return; fi
  done
  fail "no Python 3.10 or newer here ($(python3 --version 2>&1 || true)) → install one (Debian: sudo apt install python3 python3-venv), then run this again"
}

case " $* " in *' --help '* | *' -h '*) usage; exit 0 ;; esac

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
python=$(find_python)
PYTHONPATH="$root/src" "$python" -m ventes.install "$@"
exec "$root/.venv/bin/ventes" start "$@"
