// Package flavours is one suite for every stage1: a table of what a pod does,
// run against each kind of isolation with the same image.
//
//	RKT_TEST_RKT=FILE RKT_TEST_STAGE1S=FLAVOUR=FILE,… go test ./test/flavours
//
// RKT_TEST_STAGE1S names the images to test, by the columns of the table. The
// tests run as root. RKT_TEST_PROBE names the program of the test image, which is
// built otherwise: so the compiled suite runs where there is no compiler. Where it
// is too slow to unpack a stage1 image, RKT_TEST_DATA names a data directory in which
// that was done, and RKT_TEST_STAGE1S has images' names instead of files.
//
// docs/flavours.md is made of the same table.
package flavours

// Flavour is a column of the table.
type Flavour struct {
	Name string
	// Title is what users call it.
	Title string
	// Isolation is what rkt must say that a pod has around it.
	Isolation string
	// Machine says that pods have a kernel of their own.
	Machine bool
	// Optional says that the suite is run against it only where what it takes is
	// there.
	Optional bool
}

// Names of the flavours.
const (
	QEMUEmulated = "qemu-tcg"
	QEMUWithKVM  = "qemu-kvm"
	LKVM         = "lkvm"
	Nspawn       = "nspawn"
	Fly          = "fly"
)

// All returns the flavours.
func All() []Flavour {
	return []Flavour{
		{QEMUWithKVM, "QEMU with KVM", "kvm", true, false},
		{QEMUEmulated, "QEMU, emulated", "emulated", true, false},
		{LKVM, "lkvm", "kvm", true, true},
		{Nspawn, "nspawn (`coreos`)", "container", false, false},
		{Fly, "fly", "none", false, false},
	}
}
