// Package lkvm runs pods in virtual machines of lkvm (kvmtool), a small
// hypervisor for hosts with hardware virtualization. It shares the guest, its
// kernel and the jail with QEMU. What differs: disks are there from the start,
// few of them, as loop devices of the jail; and the agent is reached over vsock.
package lkvm
