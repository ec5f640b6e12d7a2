#!/bin/sh
# Makes ./configure out of configure.ac.
set -e
cd "$(dirname "$0")"
command -v autoconf >/dev/null || {
	echo "autogen.sh: autoconf is not installed" >&2
	echo "hint: run scripts/install-deps, which installs all that the build needs" >&2
	exit 1
}
rm -rf autom4te.cache
autoconf
# What autoconf keeps of the old one.
rm -f configure~
