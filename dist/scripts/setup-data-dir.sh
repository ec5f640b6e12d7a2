#!/bin/bash
# Sets up rkt's directories so that members of the group rkt may fetch, list,
# export and remove images and look at pods, and members of rkt-admin may change
# the configuration. Made once, as root; existing directories get the modes.
#
#   setup-data-dir.sh [--dir=/var/lib/rkt] [--local-config=/etc/rkt]
#                     [--group=rkt] [--admin-group=rkt-admin]
#
# A group may be given by its number; one given by name is made if it is missing.
# Where systemd runs, tmpfiles.d/rkt.conf does the same at every boot.
set -euo pipefail

data=/var/lib/rkt config=/etc/rkt group=rkt admin=rkt-admin
for arg; do
	case $arg in
	--dir=*) data=${arg#*=} ;;
	--local-config=*) config=${arg#*=} ;;
	--group=*) group=${arg#*=} ;;
	--admin-group=*) admin=${arg#*=} ;;
	*) echo "setup-data-dir.sh: unknown argument \"$arg\"" >&2; exit 254 ;;
	esac
done
[ "$(id -u)" = 0 ] || { echo "setup-data-dir.sh: cannot run as unprivileged user" >&2; exit 254; }

# group NAME makes a group unless it is there or given by its number.
group() { [[ $1 =~ ^[0-9]+$ ]] || getent group "$1" >/dev/null || groupadd --system "$1"; }
group "$group"
group "$admin"

# directory MODE GROUP PATH makes a directory or changes it.
directory() {
	mkdir -p -- "$3"
	chown "root:$2" -- "$3"
	chmod "$1" -- "$3"
}
directory 2750 "$group" "$data"
for name in cas cas/blob cas/imageManifest cas/index cas/imagelocks cas/remote cas/tmp; do
	directory 2770 "$group" "$data/$name"
done
directory 0700 root "$data/cas/disk"
directory 0711 root "$data/cas/tree"
directory 0700 root "$data/cas/treestorelocks"
for name in locks pods pods/{embryo,prepare,prepared,run,exited-garbage,garbage}; do
	directory 2750 "$group" "$data/$name"
done
directory 2775 "$admin" "$config"

# Images that are there already.
for name in blob imageManifest index remote; do
	find "$data/cas/$name" -mindepth 1 -type d -exec chgrp "$group" {} + -exec chmod 2770 {} +
	find "$data/cas/$name" -type f -exec chgrp "$group" {} + -exec chmod 0660 {} +
done
