package client

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// Errors that end a session or refuse a call.
var (
	// ErrLost means that the machine ended, or its agent stopped answering,
	// without a goodbye.
	ErrLost = errors.New("machine is gone")
	// ErrProtocol means that the machine broke the protocol, which is final.
	ErrProtocol = errors.New("machine broke the protocol")
	// ErrClosed means that this side closed the session.
	ErrClosed = errors.New("session is closed")
	// ErrNoApp means that the machine has no running app of that name.
	ErrNoApp = errors.New("no such app")
	// ErrTooLarge means that a request is more than one message may carry.
	ErrTooLarge = errors.New("too much for one message")
)

// Info is what an agent says when it answers. All of it is only a claim.
type Info struct {
	Version uint32        // of the protocol
	Uptime  time.Duration // by the machine's monotonic clock
}

// Description is what a machine is made of, by its own words.
type Description struct {
	Kernel  string // as uname -r says it
	Systemd string // its version
}

// Config gives a machine its identity. Time and entropy are added by
// Configure itself.
type Config struct {
	Hostname  string
	MachineID string // 32 hexadecimal digits
	Scratch   *Disk  // takes what apps write; nil keeps it in memory
	Debug     bool   // let the agent write what it does to the console
	Links     []Link // network interfaces besides loop-back
	Sysctls   []Variable
	Names     Names
}

// Link is what one network interface of the machine is to be like.
type Link struct {
	Name       string
	MAC        string // which interface is meant, as aa:bb:cc:dd:ee:ff
	MTU        int
	Addresses  []netip.Prefix
	Routes     []Route
	Neighbours []Neighbour
}

// Route is one over a Link.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr // invalid: the destination is on the link
	Source      netip.Addr // invalid: the machine's choice
	Metric      int
	MTU         int  // 0: the link's
	OnLink      bool // the gateway is on the link, whatever the addresses say
}

// Neighbour is a permanent one.
type Neighbour struct {
	IP  netip.Addr
	MAC string
}

// Names are the files that apps look names up in.
type Names struct {
	Hosts        string // text of /etc/hosts; empty: loop-back and the host name
	ReplaceHosts bool   // show it to apps that have one, too
	ResolvConf   string // text of /etc/resolv.conf; empty: the apps' own
}

// Disk names a disk of the machine by its LUN, or by Device if that is set.
type Disk struct {
	LUN        uint32
	Device     string // path of the device inside the machine
	Filesystem string
	ReadOnly   bool
	Verity     *Verity // checks what is read; nil if nothing does
}

// Verity describes the dm-verity hash tree that follows a disk's data: version
// 1, SHA-256, blocks of 4096 bytes, no superblock.
type Verity struct {
	RootHash, Salt []byte
	DataBlocks     uint64
}

// App is everything the agent needs to know to start an app.
type App struct {
	Name              string
	Disk              Disk
	Exec              []string
	User              string // number, name, or absolute path whose owner is meant
	Group             string // the same
	SupplementaryGIDs []uint32
	WorkingDirectory  string // "" is /
	Environment       []Variable
	ReadOnlyRootFS    bool

	Capabilities    []string // "CAP_CHOWN"; the whole bounding set
	AllCapabilities bool     // instead of Capabilities
	NoNewPrivileges bool
	Syscalls        *SyscallFilter // nil allows all
	ProtectPaths    bool           // hide the sensitive parts of /proc and /sys

	MemoryMax      int64  // bytes; 0 is no limit
	CPUMilli       int64  // thousandths of a CPU; 0 is no limit
	CPUShares      uint64 // 2 to 262144; 0 is the default
	OOMScoreAdjust int32

	// Programs that run as root of the app before it starts and after it has ended;
	// nil is none.
	PreStart, PostStop []string

	Terminal *Size // a terminal for stdin, stdout and stderr; nil is none
	Stdin    bool  // connect stdin; without it the app reads from /dev/null
	Syslog   bool  // take what its programs send to the system's log
}

// SyscallFilter lists system calls that are allowed, or withheld.
type SyscallFilter struct {
	Allow   bool
	Errno   syscall.Errno // what a withheld call fails with
	Names   []string
	Numbers []SyscallNumbers // the same calls
}

// SyscallNumbers are what calls are for one way of calling the kernel.
type SyscallNumbers struct {
	Arch  uint32 // as AUDIT_ARCH_… names it
	Calls []uint32
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Size is a terminal's size in characters.
type Size struct{ Rows, Columns uint16 }

// Started is a running app.
type Started struct {
	PID   int // the app's main process, as the machine numbers it
	Stdio Stdio
}

// Stdio is an app's standard input and output. Each part is a channel of its
// own: one that is never read or written delays only its own app. Closing a
// reader makes the app's next write to it fail. A reader may be closed while
// another goroutine reads from it.
type Stdio struct {
	// Stdin is nil if the app has none. Its Close is the end of input. Writing
	// fails with io.ErrClosedPipe once the app no longer reads.
	Stdin io.WriteCloser
	// Stdout also carries stderr if the app has a terminal.
	Stdout io.ReadCloser
	// Stderr is nil if the app has a terminal.
	Stderr io.ReadCloser
	// Syslog has, as lines, what the app's programs send to /dev/log or the
	// journal's socket. It is nil if that was not asked for.
	Syslog io.ReadCloser
}

// Exit says how an app ended.
type Exit struct {
	App       string
	Code      int            // exit code, if Signal is 0
	Signal    syscall.Signal // what killed it, or 0
	CoreDump  bool
	OOMKilled bool
	Order     int // 0 for the app that ended first, and so on
}

// Status returns the exit status a shell would show: the code, or 128 plus
// the signal's number.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

// Goodbye is a machine's last word: how every app that was started ended, in
// the order in which they ended.
type Goodbye struct{ Exits []Exit }

// Failure is why an app could not be started.
type Failure int

// The reasons.
const (
	FailedUser      Failure = iota + 1 // the image has no such user
	FailedGroup                        // the image has no such group
	FailedEmptyExec                    // there is nothing to execute
	FailedNoBinary                     // the image has no such program
	FailedDisk                         // a disk is missing or can't be mounted
	FailedSetup                        // anything else before the program ran
)

// StartError is returned by StartApp if the machine is fine but the app did
// not start. There will be no Exit for it.
type StartError struct {
	App     string // empty if it was a program beside an app
	Failure Failure
	Message string // one printable line that stands for itself
}

func (e *StartError) Error() string {
	if e.App == "" {
		return e.Message // of a program beside an app
	}
	return fmt.Sprintf("start app %q: %s", e.App, e.Message)
}
