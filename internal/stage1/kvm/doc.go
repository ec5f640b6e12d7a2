// Package kvm runs pods in virtual machines: it makes QEMU's command line from
// the parts in the stage1 image, confines QEMU, and hands it every file and
// socket as an open descriptor.
package kvm
