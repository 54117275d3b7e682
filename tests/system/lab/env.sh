# sourced by every script here. PI = where everything is built (outside the host's own system)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PI=${PI:-${XDG_CACHE_HOME:-$HOME/.cache}/stoker-lab}; export TMPDIR=$PI/tmp; WORK=$PI/work; mkdir -p "$TMPDIR" "$WORK"; chmod 1777 "$TMPDIR"; chmod 755 "$PI"
export PATH=$here/bin:$PI/mm/usr/bin:$PATH
SRC=${SRC:-/etc/apt/sources.list.d/debian.sources}      # a sources file the host's apt already uses
MMOPT=(--mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"')
