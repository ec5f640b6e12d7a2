//go:build linux

package agent

import (
	"fmt"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/systemd"
	"rkt/internal/linux"
)

// unit is an app as systemd is to run it.
type unit struct {
	req  *guestproto.StartAppRequest
	root string // path of the app's root
	// container says that the kernel is the host's.
	container bool

	binary   string
	uid, gid uint32
	// The programs of event handlers, "" for none.
	preStart, postStop string
	// settings is what systemd is told about the app, its input and output aside.
	settings []systemd.Property
}

// prepare does all for the app's start that needs no systemd yet.
func (u *unit) prepare(root linux.Root, accounts *accounts) error {
	if err := u.resolve(root); err != nil {
		return err
	}
	if err := accounts.ensure(u.uid, append(u.req.SupplementaryGids, u.gid)...); err != nil {
		return err
	}
	confinement, err := u.confinement()
	if err != nil {
		return err
	}
	u.settings = slices.Concat(u.service(), u.program(), u.handlers(), confinement, u.limits())
	return nil
}

// resolve looks up in the app's root what the request has by name.
func (u *unit) resolve(root linux.Root) (err error) {
	if len(u.req.Exec) == 0 {
		return errEmptyExec
	}
	if u.uid, err = approot.LookupUser(root, u.req.User); err != nil {
		return err
	}
	if u.gid, err = approot.LookupGroup(root, u.req.Group); err != nil {
		return err
	}
	if err := u.checkEnvironment(); err != nil {
		return err
	}
	if err := u.checkWorkingDirectory(root); err != nil {
		return err
	}
	if u.binary, err = u.lookUp(root, u.req.Exec); err != nil {
		return err
	}
	if u.preStart, err = u.lookUp(root, u.req.PreStart.GetExec()); err != nil {
		return fmt.Errorf("event handler pre-start: %w", err)
	}
	if u.postStop, err = u.lookUp(root, u.req.PostStop.GetExec()); err != nil {
		return fmt.Errorf("event handler post-stop: %w", err)
	}
	return nil
}

// lookUp returns the path of a command's program, "" for no command.
func (u *unit) lookUp(root linux.Root, command []string) (string, error) {
	if len(command) == 0 {
		return "", nil
	}
	searchPath, hasPath := u.variable("PATH")
	return approot.LookupBinary(root, command[0], u.req.WorkingDirectory, searchPath, hasPath)
}

// checkWorkingDirectory refuses what systemd would refuse without naming it.
func (u *unit) checkWorkingDirectory(root linux.Root) error {
	dir := u.req.WorkingDirectory
	if dir == "" {
		return nil
	}
	st, err := root.Stat(dir)
	if err != nil {
		return fmt.Errorf("working directory %q: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("working directory %q is not a directory", dir)
	}
	return nil
}

// checkEnvironment refuses what systemd would refuse without saying which it
// was.
func (u *unit) checkEnvironment() error {
	for _, v := range u.req.Environment {
		odd := func(c rune) bool {
			return c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
		}
		if v.Name == "" || strings.ContainsFunc(v.Name, odd) || v.Name[0] <= '9' {
			return fmt.Errorf("environment variable %q: only letters, digits and underscores make a name", v.Name)
		}
	}
	return nil
}

// variable returns a variable of the app's environment. The last one counts.
func (u *unit) variable(name string) (string, bool) {
	for _, v := range slices.Backward(u.req.Environment) {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

// properties returns all that systemd is told about the app, which is prepared.
func (u *unit) properties(io *stdio) ([]systemd.Property, error) {
	stdio, err := stdioProperties(io)
	if err != nil {
		return nil, err
	}
	return append(stdio, u.settings...), nil
}

// service is how systemd goes about it. What a property means is in
// systemd.service(5), systemd.kill(5) and systemd.unit(5).
func (u *unit) service() []systemd.Property {
	const infinity = uint64(math.MaxUint64)
	return []systemd.Property{
		{Name: "Description", Value: "App " + u.req.Name},
		{Name: "DefaultDependencies", Value: false},
		// Ended is ended: nobody asks systemd about it later.
		{Name: "CollectMode", Value: "inactive-or-failed"},
		// The start is over when the program runs, not before.
		{Name: "Type", Value: "exec"},
		{Name: "KillMode", Value: "control-group"},
		// Whoever asks for a stop says how long it may take; the agent sees to it.
		{Name: "TimeoutStopUSec", Value: infinity},
		{Name: "TimeoutStartUSec", Value: infinity},
		{Name: "OOMPolicy", Value: "continue"},
		// Services of systemd don't get SIGPIPE; programs expect it.
		{Name: "IgnoreSIGPIPE", Value: false},
	}
}

// execCommand is one program to execute.
type execCommand struct {
	Path  string
	Args  []string
	Flags []string
}

// program is what is executed, where and as whom.
func (u *unit) program() []systemd.Property {
	// systemd takes only paths without detours.
	directory := path.Join("/", u.req.WorkingDirectory)
	args := append([]string{u.binary}, u.req.Exec[1:]...)
	var groups, environment []string
	for _, gid := range u.req.SupplementaryGids {
		groups = append(groups, strconv.FormatUint(uint64(gid), 10))
	}
	for _, v := range u.req.Environment {
		environment = append(environment, v.Name+"="+v.Value)
	}
	return []systemd.Property{
		// Arguments are passed on as they are: "$" means nothing in them.
		{Name: "ExecStartEx", Value: []execCommand{{u.binary, args, []string{"no-env-expand"}}}},
		{Name: "RootDirectory", Value: u.root},
		// The root has its own; and without this one more option has systemd
		// make a mount namespace, out of which chroot(2) does not lead.
		{Name: "MountAPIVFS", Value: false},
		{Name: "PrivateMounts", Value: true},
		{Name: "WorkingDirectory", Value: directory},
		{Name: "User", Value: strconv.FormatUint(uint64(u.uid), 10)},
		{Name: "Group", Value: strconv.FormatUint(uint64(u.gid), 10)},
		{Name: "SupplementaryGroups", Value: groups},
		{Name: "Environment", Value: environment},
		{Name: "UnsetEnvironment", Value: u.unwanted()},
	}
}

// handlers are the programs before and after the app's own: as root, but
// otherwise as confined as the app is.
func (u *unit) handlers() []systemd.Property {
	var properties []systemd.Property
	for _, h := range []struct {
		property, binary string
		exec             []string
	}{
		{"ExecStartPreEx", u.preStart, u.req.PreStart.GetExec()}, {"ExecStopPostEx", u.postStop, u.req.PostStop.GetExec()},
	} {
		if h.binary == "" {
			continue
		}
		args := append([]string{h.binary}, h.exec[1:]...)
		command := execCommand{h.binary, args, []string{"no-setuid", "no-env-expand"}}
		properties = append(properties, systemd.Property{Name: h.property, Value: []execCommand{command}})
	}
	return properties
}

// unwanted returns the variables that systemd would add by itself. Those that
// the app has must not be named: it would lose them.
func (u *unit) unwanted() []string {
	added := []string{
		"PATH", "HOME", "LOGNAME", "USER", "SHELL", "TERM", "LANG",
		"INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM",
		"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
	}
	return slices.DeleteFunc(added, func(name string) bool {
		_, has := u.variable(name)
		return has
	})
}

// stdioProperties connects the app.
func stdioProperties(io *stdio) ([]systemd.Property, error) {
	if io.terminal != nil {
		return []systemd.Property{
			{Name: "StandardInput", Value: "tty"},
			{Name: "StandardOutput", Value: "tty"},
			{Name: "StandardError", Value: "tty"},
			{Name: "TTYPath", Value: io.ttyPath},
		}, nil
	}
	names := []string{"StandardOutputFileDescriptor", "StandardErrorFileDescriptor"}
	var properties []systemd.Property
	if io.in == nil {
		properties = append(properties, systemd.Property{Name: "StandardInput", Value: "null"})
	} else {
		names = append([]string{"StandardInputFileDescriptor"}, names...)
	}
	for i, name := range names {
		fd, err := descriptor(io.theirs[i])
		if err != nil {
			return nil, err
		}
		properties = append(properties, systemd.Property{Name: name, Value: dbus.UnixFD(fd)})
	}
	return properties, nil
}

// descriptor returns f's number without changing how f works, which f.Fd may.
func descriptor(f *os.File) (fd int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("descriptor of %s: %w", f.Name(), err)
	}
	err = conn.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// limits is what the app may use. The numbers of files are systemd's own
// defaults, which depend on the machine no more.
func (u *unit) limits() []systemd.Property {
	const softFiles, hardFiles = uint64(1024), uint64(512 << 10)
	properties := []systemd.Property{
		{Name: "LimitNOFILESoft", Value: softFiles},
		{Name: "LimitNOFILE", Value: hardFiles},
		{Name: "TasksMax", Value: uint64(math.MaxUint64)},
	}
	l := u.req.Limits
	if n := l.GetMemoryMax(); n > 0 {
		properties = append(properties, systemd.Property{Name: "MemoryMax", Value: uint64(n)})
	}
	if n := l.GetCpuMilli(); n > 0 && !u.wholeMachine(n) {
		const microsPerMilli = 1000
		properties = append(properties, systemd.Property{Name: "CPUQuotaPerSecUSec", Value: uint64(n) * microsPerMilli})
	}
	if n := l.GetCpuShares(); n > 0 {
		properties = append(properties, systemd.Property{Name: "CPUWeight", Value: weight(n)})
	}
	if n := l.GetOomScoreAdjust(); n != 0 {
		properties = append(properties, systemd.Property{Name: "OOMScoreAdjust", Value: n})
	}
	return properties
}

// wholeMachine says that thousandths of a CPU are all that the machine has, which
// needs no limit. One has the kernel schedule the app's group, and those around it,
// before it schedules the app: a fifth of what an answer over the network costs. How
// many CPUs a container's host has may change.
func (u *unit) wholeMachine(milli int64) bool {
	return !u.container && milli >= milliPerCPU*int64(runtime.NumCPU())
}

const milliPerCPU = 1000

// weight turns shares, of which 1024 are usual, into a weight, where that is
// 100. Source: systemd's own translation of CPUShares= on control groups v2.
func weight(shares uint64) uint64 {
	const usualShares, usualWeight, most = 1024, 100, 10000
	return min(max(shares*usualWeight/usualShares, 1), most)
}
