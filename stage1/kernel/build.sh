#!/bin/bash
# Builds the guest kernel out of the distribution's linux-source package and
# prints the directory that holds it: vmlinux (ELF, entered through PVH),
# bzImage, config and release (what uname -r says).
#
#   build.sh ARCH
#
# The result is kept outside the tree, below ${RKT_CACHE:-$XDG_CACHE_HOME/rkt},
# under a key made of everything that goes into it: package version, fragment,
# this script, compiler and linker.  Several builds may run at once; one of them
# does the work.  A build that is killed leaves no half-made result.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${RKT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rkt}/kernel

die() { echo "kernel: $*" >&2; exit 1; }
say() { echo "kernel: $*" >&2; }

# choose_arch sets what depends on the architecture.
choose_arch() {
	case $1 in
	amd64) kbuild_arch=x86_64 compressed=arch/x86/boot/bzImage ;;
	*) die "architecture $1 is not there yet (only amd64)" ;;
	esac
	fragment=$here/config-$1.fragment
}

# find_source sets tarball and package to the newest installed kernel source.
find_source() {
	tarball=$(find /usr/src -maxdepth 1 -name 'linux-source-*.tar.xz' | sort -V | tail -n 1)
	[ -n "$tarball" ] || die "no kernel source below /usr/src: install the package linux-source"
	package=$(basename "$tarball" .tar.xz)
	package_version=$(dpkg-query -W -f '${Version}' "$package")
}

# inputs names everything the result depends on.
inputs() {
	echo "$package $package_version"
	sha256sum <"$fragment"
	sha256sum <"$here/build.sh"
	gcc --version | head -n 1
	ld --version | head -n 1
}

# configure starts from no and adds the fragment.
configure() {
	kmake -s KCONFIG_ALLCONFIG="$fragment" allnoconfig >/dev/null
	local line name lost=0
	while read -r line; do
		case $line in
		CONFIG_*)
			grep -qxF -- "$line" .config || { say "option did not stick: $line"; lost=1; } ;;
		'# CONFIG_'*' is not set')
			name=${line#\# } name=${name%% *}
			! grep -q "^$name=" .config || { say "option is on all the same: $name"; lost=1; } ;;
		esac
	done <"$fragment"
	[ "$lost" = 0 ] || die "the configuration fragment does not fit $package $package_version"
}

# kmake runs the kernel's make, deaf to who builds, where, when, and to the
# variables of a make that called us.
kmake() {
	env -i PATH="$PATH" LC_ALL=C nice make ARCH="$kbuild_arch" LOCALVERSION= \
		KBUILD_BUILD_USER=rkt KBUILD_BUILD_HOST=rkt KBUILD_BUILD_VERSION=1 \
		KBUILD_BUILD_TIMESTAMP="$(LC_ALL=C date -u -d "@$epoch")" SOURCE_DATE_EPOCH="$epoch" "$@"
}

# build leaves the finished kernel in the directory $1.
build() {
	local out=$1
	say "unpacking $package $package_version"
	tar -C "$work" --strip-components=1 -xf "$tarball"
	cd "$work"
	epoch=$(stat -c %Y Makefile)
	configure
	say "building, this takes 5 to 15 minutes on two processors"
	kmake -j "$(nproc)" -s vmlinux "$(basename "$compressed")" >"$work.log" 2>&1 ||
		{ tail -n 40 "$work.log" >&2; die "the kernel did not build"; }
	mkdir "$out"
	strip -s -o "$out/vmlinux" vmlinux
	cp "$compressed" "$out/bzImage"
	cp .config "$out/config"
	kmake -s kernelrelease >"$out/release"
	inputs >"$out/inputs"
	cd /
}

# sweep removes what killed builds left: whoever can take a build's lock knows
# that nobody is at it.
sweep() {
	local lock key
	for lock in "$cache"/.lock-*; do
		[ -e "$lock" ] || continue
		key=${lock##*/.lock-}
		(
			exec 8<"$lock"
			flock -n 8 || exit 0
			rm -rf "$cache/.build-$key" "$cache/.build-$key.out" "$cache/.build-$key.log"
		)
	done
}

main() {
	choose_arch "${1:?usage: build.sh ARCH}"
	find_source
	local key result
	key=$1-$(inputs | sha256sum | cut -c 1-20)
	result=$cache/$key
	mkdir -p "$cache"
	sweep
	exec 9>"$cache/.lock-$key"
	flock 9
	if [ ! -d "$result" ]; then
		work=$cache/.build-$key
		rm -rf "$work" "$work.out" "$work.log"
		mkdir "$work"
		trap 'rm -rf "$work" "$work.out" "$work.log"' EXIT
		(build "$work.out")
		sync -f "$work.out"
		mv -T "$work.out" "$result"
	fi
	echo "$result"
}

main "$@"
