// Package stage1 is the contract between rkt and the image that runs a pod:
// the names of its entry points, the arguments they get, and the files that
// either side leaves for the other in the pod's directory.
//
// Every entry point is started with the pod's directory as its working
// directory, so the paths here are relative to it.
package stage1

import "path/filepath"

// InterfaceVersion is the newest version of the contract that this package
// speaks: version 6 of rkt 1.30 plus the app format.
const InterfaceVersion = 7

// AppFormatVersion is the first version of the contract with app formats.
const AppFormatVersion = 7

// AnnotationPrefix begins the names of all annotations of the contract.
const AnnotationPrefix = "coreos.com/rkt/stage1/"

// Annotations of a stage1 image's manifest. An entry point's value is a path
// inside the image's rootfs.
const (
	AnnotationRun   = "coreos.com/rkt/stage1/run"
	AnnotationEnter = "coreos.com/rkt/stage1/enter"
	AnnotationExec  = "coreos.com/rkt/stage1/exec" // since version 7
	AnnotationGC    = "coreos.com/rkt/stage1/gc"
	AnnotationStop  = "coreos.com/rkt/stage1/stop"
	// AnnotationIsolation says what a pod will have around it: an Isolation, or
	// the path of a program that looks at the host and prints one.
	AnnotationIsolation        = "coreos.com/rkt/stage1/isolation"
	AnnotationInterfaceVersion = "coreos.com/rkt/stage1/interface-version"
	// AnnotationAppFormat says how the image wants the apps: AppFormatTree
	// (also when absent) or AppFormatDisk.
	AnnotationAppFormat = "coreos.com/rkt/stage1/app-format"
)

// EntryPointAnnotations returns the annotations that name programs: those above,
// and those of rkt 1.30 that this rkt does not call.
func EntryPointAnnotations() []string {
	return []string{
		AnnotationRun, AnnotationEnter, AnnotationGC, AnnotationStop, AnnotationExec, AnnotationIsolation,
		AnnotationPrefix + "attach",
		AnnotationPrefix + "app/add", AnnotationPrefix + "app/rm",
		AnnotationPrefix + "app/start", AnnotationPrefix + "app/stop",
	}
}

// Values of AnnotationAppFormat.
const (
	AppFormatTree = "tree"
	AppFormatDisk = "disk"
)

// Files in a pod's directory.
const (
	PodManifestFile = "pod"
	PidFile         = "pid"
	UIDFile         = "uid"
	DiskSizeFile    = "disk-size" // see DiskSize
	ControlSocket   = "control"
	// OverlayFile is empty. Without it the apps' roots are to be copies of their
	// images, not overlays on them.
	OverlayFile = "overlay-prepared"
	// PrivateUsersFile is there if the pod has user namespaces of its own, and has
	// its IDRange once it was started.
	PrivateUsersFile = "private-users-prepared"
	Stage1Manifest   = "stage1/manifest"
	StatusDir        = "stage1/rootfs/rkt/status"
	EnvDir           = "stage1/rootfs/rkt/env"
	SupervisorStatus = "stage1/rootfs/rkt/supervisor-status"
	// IsolationFile holds one word, what the pod really has around it:
	// "kvm", "emulated", "container" or "none".
	IsolationFile = "stage1/rootfs/rkt/isolation"
	// DiskCheckFile holds one word, what makes sure that the apps' disks are what
	// was rendered: "verity" if the machine's kernel checks each block as it is
	// read, else the weakest AppDisk.Checked.
	DiskCheckFile = "stage1/rootfs/rkt/disk-check"
)

// LockFDEnv names the environment variable that holds the number of the
// descriptor with the pod's lock. It stays open as long as the pod runs.
const LockFDEnv = "RKT_LOCK_FD"

// LogDir returns the directory of an app's log, in the format of package
// applog. Since version 7 a stage1 keeps there what the app writes.
func LogDir(app string) string { return filepath.Join("logs", app) }

// AppDiskFile returns the path of an app's AppDisk.
func AppDiskFile(app string) string { return filepath.Join("appsinfo", app, "disk.json") }

// AppManifestFile returns the path of an app's image manifest.
func AppManifestFile(app string) string { return filepath.Join("appsinfo", app, "manifest") }

// AppDisk tells a stage1 with the app format "disk" where an app's root file
// system is. It is stored as JSON in AppDiskFile.
type AppDisk struct {
	// Path is the absolute path of the disk image on the host. It is shared
	// with other pods and must be attached read-only.
	Path string `json:"path"`
	// Filesystem is what the image holds, as mount(8) names it.
	Filesystem string `json:"filesystem"`
	// Size is the image's length in bytes.
	Size int64 `json:"size"`
	// SHA256 is the digest of the whole file in lower-case hex.
	SHA256 string `json:"sha256"`
	// Checked says how the host made sure of SHA256 before this start: "hash"
	// (read and compared) or "record" (inode, size and change time equal those
	// noted after the last comparison).
	Checked string `json:"checked"`
	// Verity lets a machine's kernel check each block when it is read, nil if
	// the image has no hash tree.
	Verity *Verity `json:"verity,omitempty"`
}

// Verity describes the dm-verity hash tree (version 1, SHA-256, blocks of 4096
// bytes, no superblock) that follows a disk image's data.
type Verity struct {
	RootHash string `json:"rootHash"` // lower-case hex
	Salt     string `json:"salt"`     // lower-case hex
	DataSize int64  `json:"dataSize"` // in bytes; the tree begins there
}
