//go:build linux

package agent

import "golang.org/x/sys/unix"

// conventions returns the ways in which a program can call this kernel, in the
// order in which the numbers of each call are listed below. systemd makes a
// filter for each of them, too.
func conventions() []convention {
	return []convention{
		{arch: unix.AUDIT_ARCH_X86_64, column: 0},
		{arch: unix.AUDIT_ARCH_I386, column: 1},
		// x32: the same numbers with a bit set.
		{arch: unix.AUDIT_ARCH_X86_64, column: 0, mask: 1 << 30},
	}
}

// syscallNumbers lists the numbers of the calls that may be withheld, "-" where
// there is no such call. Source: the kernel's arch/x86/entry/syscalls.
const syscallNumbers = `
_sysctl 156 149
acct 163 51
add_key 248 286
adjtimex 159 124
afs_syscall 183 137
bdflush - 134
bpf 321 357
break - 17
clock_adjtime 305 343
clock_adjtime64 - 405
clock_settime 227 264
clock_settime64 - 404
create_module 174 127
delete_module 176 129
fanotify_init 300 338
finit_module 313 350
fsconfig 431 431
fsmount 432 432
fsopen 430 430
fspick 433 433
ftime - 35
get_kernel_syms 177 130
getpmsg 181 188
gtty - 32
idle - 112
init_module 175 128
io_uring_enter 426 426
io_uring_register 427 427
io_uring_setup 425 425
ioperm 173 101
iopl 172 110
kexec_file_load 320 -
kexec_load 246 283
keyctl 250 288
lock - 53
lookup_dcookie 212 253
memfd_secret 447 447
mount 165 21
mount_setattr 442 442
move_mount 429 429
mpx - 56
nfsservctl 180 169
open_by_handle_at 304 342
open_tree 428 428
perf_event_open 298 336
pidfd_getfd 438 438
pivot_root 155 217
prof - 44
profil - 98
putpmsg 182 189
query_module 178 167
quotactl 179 131
quotactl_fd 443 443
reboot 169 88
request_key 249 287
security 185 -
setdomainname 171 121
sethostname 170 74
setns 308 346
settimeofday 164 79
sgetmask - 68
ssetmask - 69
stime - 25
stty - 31
swapoff 168 115
swapon 167 87
sysfs 139 135
syslog 103 103
tuxcall 184 -
ulimit - 58
umount - 22
umount2 166 52
unshare 272 310
uselib 134 86
userfaultfd 323 374
ustat 136 62
vhangup 153 111
vm86 - 166
vm86old - 113
vserver 236 273
`
