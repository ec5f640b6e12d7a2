package kvm

import (
	"fmt"
	"strconv"
	"strings"

	"rkt/internal/stage1/supervisor"
)

// Descriptors that QEMU is started with. Nothing reaches it by path but what
// is in the stage1 image.
const (
	fdControl = 3 + iota // the agent's control stream
	fdData               // the agent's data stream
	fdQMP
	fdConsole // the first serial line
	fdRoot    // the guest's root disk
	fdLock    // the pod's lock, only to be held
	fdTaps    // the first of the taps
)

// Names of QEMU's objects that are used again over QMP.
const (
	scsiController = "scsi0"
	rootFDSet      = 1
	firstDiskFDSet = 2
)

// guestHZ is how many ticks a second has: CONFIG_HZ in stage1/kernel.
const guestHZ = 250

// tcgCPU is everything that QEMU can emulate but fast instructions for strings, which
// it carries out byte by byte: a kernel without them clears and copies memory several
// times as fast.
const tcgCPU = "max,-erms,-fsrm"

// machine is the set of decisions behind a command line.
type machine struct {
	parts machineParts
	spec  supervisor.Spec
	kvm   bool
	vhost bool // there is a descriptor of it after the taps for each of them
	debug bool
	// tscKHz is the speed of the host's time stamp counter, 0 if unknown.
	tscKHz uint64
	extra  string // more kernel parameters, from the user
}

// arguments returns QEMU's command line, as seen from inside its jail.
func (m machine) arguments() []string {
	args := []string{
		m.parts.QEMU,
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-L", m.parts.Data,
		"-smp", strconv.Itoa(m.spec.CPUs),
		"-m", strconv.FormatInt(m.spec.MemoryBytes>>20, 10) + "M",
		"-kernel", m.parts.Kernel,
		"-append", m.kernelParameters(),
	}
	args = append(args, m.boardArguments()...)
	args = append(args, m.accelArguments()...)
	args = append(args, m.deviceArguments()...)
	return append(args, m.networkArguments()...)
}

// networkArguments join a card to each tap. The card has the address of what is
// on the tap's other side: on a macvlan nothing else would get through.
func (m machine) networkArguments() []string {
	if m.spec.Network == nil {
		return nil
	}
	device := "virtio-net-device"
	if m.large() {
		device = "virtio-net-pci,romfile=" // nothing is booted from there
	}
	var args []string
	for n, i := range m.spec.Network.Interfaces {
		netdev := fmt.Sprintf("tap,id=net%d,fd=%d", n, fdTaps+n)
		if m.vhost {
			netdev += fmt.Sprintf(",vhost=on,vhostfd=%d", fdTaps+len(m.spec.Network.Interfaces)+n)
		}
		args = append(args,
			"-netdev", netdev,
			"-device", fmt.Sprintf("%s,netdev=net%d,mac=%s", device, n, i.MAC))
	}
	return args
}

// maxSlots is how many virtio devices the small board has room for, and slots
// how many each machine uses besides its networks, with one for a share.
const (
	maxSlots = 8
	slots    = 6
)

// large says that the machine needs more devices than the small board has room
// for. The other one has PCI, and takes longer to boot.
func (m machine) large() bool {
	return m.spec.Network != nil && slots+len(m.spec.Network.Interfaces) > maxSlots
}

// bus ends the names of virtio devices.
func (m machine) bus() string {
	if m.large() {
		return "pci"
	}
	return "device"
}

// boardArguments choose the machine. The small board has no PCI, no ACPI and
// boots an uncompressed kernel directly.
func (m machine) boardArguments() []string {
	if m.large() {
		return []string{"-M", "q35,usb=off,vmport=off"}
	}
	return []string{
		"-M", "microvm,acpi=off,rtc=on,pic=on,pit=on,isa-serial=on,x-option-roms=off",
		// virtiofsd speaks only the current form of virtio, so everything does.
		"-global", "virtio-mmio.force-legacy=false",
	}
}

func (m machine) accelArguments() []string {
	if m.kvm {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	// The translation cache is bounded because it counts against the pod's
	// memory limit; what does not fit is translated again.
	return []string{"-accel", fmt.Sprintf("tcg,thread=multi,tb-size=%d", tcgCacheMiB), "-cpu", tcgCPU}
}

func (m machine) deviceArguments() []string {
	fd, bus := strconv.Itoa, m.bus()
	return []string{
		"-chardev", "socket,id=qmp,fd=" + fd(fdQMP), "-mon", "chardev=qmp,mode=control",
		"-chardev", "socket,id=console,fd=" + fd(fdConsole), "-serial", "chardev:console",
		"-add-fd", fmt.Sprintf("fd=%d,set=%d,opaque=root", fdRoot, rootFDSet),
		"-blockdev", fmt.Sprintf("driver=raw,node-name=root,read-only=on,"+
			"file.driver=file,file.locking=off,file.filename=/dev/fdset/%d", rootFDSet),
		"-device", "virtio-blk-" + bus + ",drive=root",
		"-device", "virtio-scsi-" + bus + ",id=" + scsiController,
		// Each port that there could be costs the guest time and memory; the
		// first is always a console's.
		"-device", "virtio-serial-" + bus + ",max_ports=3",
		// With ids QEMU tells when the guest opens and closes a port.
		"-chardev", "socket,id=control,fd=" + fd(fdControl),
		"-device", "virtserialport,id=control,chardev=control,name=rkt.control",
		"-chardev", "socket,id=data,fd=" + fd(fdData),
		"-device", "virtserialport,id=data,chardev=data,name=rkt.data",
		"-object", "rng-builtin,id=rng", "-device", "virtio-rng-" + bus + ",rng=rng",
		// Pages that the guest frees go back to the host.
		"-device", "virtio-balloon-" + bus + ",free-page-reporting=on,deflate-on-oom=on",
	}
}

// kernelParameters returns the guest kernel's command line. It says nothing of
// the pod, so that a machine could be booted before its pod exists.
func (m machine) kernelParameters() string {
	params := append(KernelParameters(m.debug),
		// The agent looks for the disks it is told of; asking for all there could
		// be takes 0.14 s.
		"scsi_mod.scan=manual")
	if !m.kvm {
		// Mitigations of a real processor's flaws protect nothing on an emulated
		// one.
		params = append(params, "mitigations=off")
		if m.spec.CPUs == 1 {
			// Calibrating this timer takes 0.2 s under emulation. But several
			// processors without it wake each other all the time.
			params = append(params, "nolapic_timer")
		}
		if m.tscKHz != 0 {
			// What a delay is follows from that, but the kernel measures it for
			// all processors but the first, 0.2 s each.
			params = append(params, fmt.Sprintf("tsc_early_khz=%d", m.tscKHz), fmt.Sprintf("lpj=%d", m.tscKHz*1000/guestHZ))
		}
	}
	if m.extra != "" {
		params = append(params, m.extra)
	}
	return strings.Join(params, " ")
}
