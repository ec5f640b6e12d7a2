package vm

import (
	"archive/tar"
	"path/filepath"
	"strings"
	"testing"
)

// TestLKVMNeedsVirtualization shows what lkvm says on a host that it can't run
// on. An image for it is made of the one for QEMU.
func TestLKVMNeedsVirtualization(t *testing.T) {
	t.Parallel()
	if hardwareVirtualization(t) {
		t.Skip("this host has hardware virtualization: make test-kvm runs lkvm")
	}
	h := newHost(t)
	file := h.path("stage1.aci")
	repack(t, filepath.Join(h.build.bin, stage1File), file, func(*tar.Header) bool { return true }, map[string][]byte{
		"rootfs/machine.json": []byte(`{"flavor":"kvm","hypervisor":"lkvm","lkvm":"/usr/bin/lkvm","kernel":"/boot/vmlinux"}`),
	})
	p := h.start("--insecure-options=image", "--stage1-path="+file, probeID(t), "--cpu=1", "--", "exit", "0")
	r := p.expect(254)
	expectOneMessage(t, r.Stderr, "lkvm needs hardware virtualization")
	if !strings.Contains(r.Stderr, "with QEMU (coreos.com/rkt/stage1-kvm)") {
		t.Errorf("it names no other image:\n%s", r.Stderr)
	}
}
