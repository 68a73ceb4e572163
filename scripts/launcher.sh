#!/usr/bin/env bash
# launcher.sh DIR PROGRAM NAME: writes DIR/NAME, which starts DIR/root/PROGRAM
# with the loader and the libraries that were unpacked beside it. The machine's
# own C library may be older than the program, so its loader cannot be used.
# Paths are found from the launcher's own place: DIR may be renamed.

. "$(dirname "$0")/lib.sh"

dir=$1 program=$2 name=$3
cd "$dir"
loader=$(find root -name 'ld-linux-*.so.*' | head -n 1)
[ -n "$loader" ] || die "no loader among the packages of $name"
folders=$(find root -maxdepth 4 -name 'lib*.so*' ! -type d -printf '$here/%h\n' | sort -u | paste -sd:)
cat >"$name" <<SH
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/$loader" --library-path "$folders" --argv0 "\$here/root/$program" "\$here/root/$program" "\$@"
SH
chmod 755 "$name"
