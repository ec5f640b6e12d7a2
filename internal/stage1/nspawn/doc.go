// Package nspawn runs a pod in a container: systemd-nspawn boots the guest's
// root on the host's kernel, with the same systemd and agent as in a virtual
// machine.
//
// Nothing of a container outlives its processes, however they end.
// systemd-nspawn is the first process of a PID namespace, so with it the kernel
// ends everything in the container. All mounts are in mount namespaces of these
// processes or attached nowhere, and loop devices go with their last mount.
package nspawn
