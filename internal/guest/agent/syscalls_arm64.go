//go:build linux

package agent

import "golang.org/x/sys/unix"

// conventions returns the ways in which a program can call this kernel, in the
// order in which the numbers of each call are listed below. systemd makes a
// filter for each of them, too.
func conventions() []convention {
	return []convention{
		{arch: unix.AUDIT_ARCH_AARCH64, column: 0},
		{arch: unix.AUDIT_ARCH_ARM, column: 1},
	}
}

// syscallNumbers lists the numbers of the calls that may be withheld, "-" where
// there is no such call. Source: the kernel's include/uapi/asm-generic/unistd.h
// and arch/arm/tools/syscall.tbl.
const syscallNumbers = `
_sysctl - 149
acct 89 51
add_key 217 309
adjtimex 171 124
bdflush - 134
bpf 280 386
clock_adjtime 266 372
clock_adjtime64 405 405
clock_settime 112 262
clock_settime64 404 404
delete_module 106 129
fanotify_init 262 367
finit_module 273 379
fsconfig 431 431
fsmount 432 432
fsopen 430 430
fspick 433 433
init_module 105 128
io_uring_enter 426 426
io_uring_register 427 427
io_uring_setup 425 425
kexec_file_load 294 401
kexec_load 104 347
keyctl 219 311
lookup_dcookie 18 249
memfd_secret 447 -
mount 40 21
mount_setattr 442 442
move_mount 429 429
nfsservctl 42 169
open_by_handle_at 265 371
open_tree 428 428
pciconfig_iobase - 271
pciconfig_read - 272
pciconfig_write - 273
perf_event_open 241 364
pidfd_getfd 438 438
pivot_root 41 218
quotactl 60 131
quotactl_fd 443 443
reboot 142 88
request_key 218 310
setdomainname 162 121
sethostname 161 74
setns 268 375
settimeofday 170 79
swapoff 225 115
swapon 224 87
sysfs - 135
syslog 116 103
umount2 39 52
unshare 97 337
uselib - 86
userfaultfd 282 388
ustat - 62
vhangup 58 111
vserver - 313
`
