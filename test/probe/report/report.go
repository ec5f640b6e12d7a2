// Package report is what the probe tells about the place it runs in. The probe
// prints it as JSON, the tests read it.
package report

// Facts are what an app can find out about its surroundings.
type Facts struct {
	Kernel   string // release, as uname(2) has it
	Hostname string
	CPUs     int // that this process may run on
	// BogoMIPS is by which number of instructions in a microsecond the kernel delays,
	// for each CPU.
	BogoMIPS []float64
	MemTotal int64 // bytes
	Disk     int64 // bytes that the file system of the root directory holds

	PID    int
	Parent Process
	Init   Process // process 1

	UID, GID int
	Groups   []int
	UIDMap   string // /proc/self/uid_map, its numbers a space apart
	Home     string // of the user, from the environment
	Dir      string // working directory
	Env      []string

	// Status are lines of /proc/self/status by name: the capability sets,
	// NoNewPrivs, Seccomp.
	Status map[string]string
	Cgroup string // /proc/self/cgroup
	// Limits are the lines of /proc/self/limits.
	Limits   []string
	OOMScore string // /proc/self/oom_score_adj
	// Namespaces are by name what the links in /proc/self/ns say.
	Namespaces map[string]string
	// Refused are the system calls that fail with EPERM, whatever they are
	// asked.
	Refused []string
	Root    []string // names in the root directory
	Below   []string // paths one level below those, /proc, /sys and /dev aside
	Dev     []string // paths of device nodes below /dev
	Mounts  []Mount
}

// Process names another process.
type Process struct {
	PID  int
	Name string
}

// Mount is one line of /proc/self/mountinfo.
type Mount struct {
	Point, Filesystem, Options string
}

// Attempt is a device that the probe tried to get at.
type Attempt struct {
	Name         string // driver and minor, such as "sd 0"
	Major, Minor uint32
	Block        bool
	// Mknod and Open are why that failed, empty if it didn't. Open is tried
	// only on a node that could be made.
	Mknod, Open string
}

// Opened tells whether the device was there for the probe.
func (a Attempt) Opened() bool { return a.Mknod == "" && a.Open == "" }

// File is what there is at a path.
type File struct {
	Path     []byte // any bytes but NUL
	Mode     uint32 // type and permissions, as stat(2) has them
	UID, GID uint32
	Size     int64
	Inode    uint64
	Links    uint64
	Device   uint64 // of a device node
	Modified int64  // nanoseconds
	// Content is the beginning of a file or the target of a symbolic link.
	Content []byte
	Xattrs  map[string][]byte
}
