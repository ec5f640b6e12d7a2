//go:build linux

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/linux"
)

// Exec runs one more program in an app.
func (s *session) Exec(_ context.Context, req *guestproto.ExecRequest) (*guestproto.ExecResponse, error) {
	channels, err := s.channels()
	if err != nil {
		return nil, err
	}
	// The host has its ends open by now, and closes them if this fails.
	io, err := openStdio(channels, wantedStdio{req.Channels, req.Terminal, req.Stdin})
	if err != nil {
		return nil, err
	}
	id, p, err := s.agent.startProgram(req, io)
	if err != nil {
		io.abandon()
		s.agent.logf("exec in app %s: %v", req.App, err)
		failure := &guestproto.StartFailure{Kind: classifyExec(err), Message: err.Error()}
		return &guestproto.ExecResponse{Failure: failure}, nil
	}
	return &guestproto.ExecResponse{Id: id, Pid: int32(p.process.Pid)}, nil
}

func classifyExec(err error) guestproto.StartFailure_Kind {
	switch {
	case errors.Is(err, errAppGone):
		return guestproto.StartFailure_KIND_NO_APP
	case errors.Is(err, errTooMany):
		return guestproto.StartFailure_KIND_TOO_MANY
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOEXEC):
		return guestproto.StartFailure_KIND_NO_BINARY
	}
	return classify(err)
}

// startProgram starts a program beside an app's own.
func (a *Agent) startProgram(req *guestproto.ExecRequest, io *stdio) (uint64, *program, error) {
	app, err := a.running(req.App)
	if err != nil {
		return 0, nil, errAppGone
	}
	id, err := a.execs.reserve()
	if err != nil {
		return 0, nil, err
	}
	p, err := app.programs.start(func(in linux.Surroundings) (*program, error) {
		return a.execIn(app, req, in, io)
	})
	if err != nil {
		a.execs.forget(id)
		return 0, nil, err
	}
	a.execs.put(id, p)
	return id, p, nil
}

// execIn starts a program in an app's surroundings.
func (a *Agent) execIn(app *app, req *guestproto.ExecRequest, in linux.Surroundings, io *stdio) (*program, error) {
	u := unit{req: execUnit(app.req, req), root: app.root.Path, container: a.opts.container()}
	if err := u.resolve(app.root.Root); err != nil {
		return nil, err
	}
	if req.User != "" && req.Group == "" {
		if gid, ok := approot.PrimaryGroup(app.root.Root, u.uid); ok {
			u.gid = gid
		}
	}
	companion, err := u.companion()
	if err != nil {
		return nil, err
	}
	if err := io.prepare(u.uid, app.root); err != nil {
		return nil, fmt.Errorf("prepare stdio: %w", err)
	}
	// The program has its copies, or never will.
	defer io.closeTheirs()
	null, err := app.root.Open("/dev/null", unix.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	process, err := companion.Start(in, io.descriptors(null), io.terminal != nil)
	var failed *linux.CompanionError
	switch {
	case errors.As(err, &failed):
		return nil, cmp.Or(approot.ExplainExec(app.root.Root, u.binary), fmt.Errorf("%q: %w", u.binary, err))
	case err != nil:
		return nil, err
	}
	p := &program{process: process, stdio: io, ended: make(chan struct{})}
	io.run()
	go p.wait(app.programs.forget)
	return p, nil
}

// execUnit returns what an app would be that differed from another as a request
// says.
func execUnit(app *guestproto.StartAppRequest, req *guestproto.ExecRequest) *guestproto.StartAppRequest {
	unit := proto.CloneOf(app)
	unit.Exec, unit.PreStart, unit.PostStop = nil, nil, nil
	for _, arg := range req.Exec {
		unit.Exec = append(unit.Exec, string(arg))
	}
	unit.Environment = slices.Concat(unit.Environment, req.Environment)
	if req.WorkingDirectory != "" {
		unit.WorkingDirectory = req.WorkingDirectory
	}
	if req.Privileged {
		unit.User, unit.Group, unit.SupplementaryGids = "0", "0", nil
		unit.Confinement = &guestproto.Confinement{AllCapabilities: true}
	}
	if req.User != "" {
		unit.User, unit.SupplementaryGids = req.User, nil
	}
	if req.Group != "" {
		unit.Group = req.Group
	}
	return unit
}

// companion returns the process that systemd would make of the unit, stdio
// aside.
func (u *unit) companion() (linux.Companion, error) {
	c := u.req.Confinement
	p := linux.Companion{
		Path:            u.binary,
		Args:            append([]string{u.binary}, u.req.Exec[1:]...),
		Env:             u.environment(),
		Dir:             path.Join("/", u.req.WorkingDirectory),
		UID:             u.uid,
		GID:             u.gid,
		Groups:          u.groups(),
		AllCapabilities: c.GetAllCapabilities(),
		NoNewPrivileges: u.noNewPrivileges(),
		OOMScoreAdjust:  int(u.req.Limits.GetOomScoreAdjust()),
	}
	if !p.AllCapabilities {
		mask, err := capabilityMask(c.GetCapabilities())
		if err != nil {
			return p, err
		}
		p.Capabilities = mask
	}
	if c.GetSyscalls() != nil {
		if u.container {
			p.Filters = userNamespaceFilters()
		}
		p.Filters = append(p.Filters, syscallFilters(c.Syscalls)...)
	}
	return p, nil
}

// groups returns the supplementary groups as systemd sets them for an app: its
// own is among them, unless that is root's.
func (u *unit) groups() []uint32 {
	if u.gid == 0 {
		return u.req.SupplementaryGids
	}
	return append([]uint32{u.gid}, u.req.SupplementaryGids...)
}

// environment returns the variables in the form that programs get, each once:
// the last of several counts.
func (u *unit) environment() []string {
	var all []string
	seen := map[string]bool{}
	for _, v := range slices.Backward(u.req.Environment) {
		if !seen[v.Name] {
			all = append(all, v.Name+"="+v.Value)
		}
		seen[v.Name] = true
	}
	slices.Reverse(all)
	return all
}

// WaitExec waits for the end of a program.
func (s *session) WaitExec(ctx context.Context, req *guestproto.WaitExecRequest) (*guestproto.WaitExecResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, eventsWait)
	defer cancel()
	p, err := s.agent.execs.get(req.Id)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return &guestproto.WaitExecResponse{}, nil
	}
	s.agent.execs.forget(req.Id)
	resp := &guestproto.WaitExecResponse{Ended: true, CoreDump: p.state.CoreDump()}
	if p.state.Signaled() {
		resp.Signal = int32(p.state.Signal())
	} else {
		resp.Code = int32(p.state.ExitStatus())
	}
	return resp, nil
}
