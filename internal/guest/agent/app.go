//go:build linux

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/systemd"
)

// leftoverGrace is how long an app's other processes may take to end when its
// main process has.
const leftoverGrace = 10 * time.Second

// sigkill is the number of SIGKILL.
const sigkill = 9

// app is an app that has a root, and runs or has run.
type app struct {
	name    string
	req     *guestproto.StartAppRequest
	manager *systemd.Manager
	root    *approot.Root
	stdio   *stdio
	service *systemd.Service
	oomed   uint64        // what oomKills said before the start
	killed  atomic.Bool   // the agent killed it
	gone    chan struct{} // closed when its end is an event
	putAway chan struct{} // closed when its root is unmounted

	programs programs // that run beside it
}

// classify says what kind of failure kept an app from starting.
func classify(err error) guestproto.StartFailure_Kind {
	var start *systemd.StartError
	switch {
	case errors.Is(err, approot.ErrUser):
		return guestproto.StartFailure_KIND_USER
	case errors.Is(err, approot.ErrGroup):
		return guestproto.StartFailure_KIND_GROUP
	case errors.Is(err, errEmptyExec):
		return guestproto.StartFailure_KIND_EMPTY_EXEC
	case errors.Is(err, approot.ErrBinary), errors.Is(err, approot.ErrNotProgram):
		return guestproto.StartFailure_KIND_NO_BINARY
	case errors.Is(err, approot.ErrImage), errors.Is(err, errDisk):
		return guestproto.StartFailure_KIND_DISK
	case errors.As(err, &start) && start.Step == systemd.StepExec:
		return guestproto.StartFailure_KIND_NO_BINARY
	}
	return guestproto.StartFailure_KIND_SETUP
}

var (
	errDisk      = errors.New("disk")
	errEmptyExec = errors.New(`app has an empty "exec"`)
)

// StartApp starts an app.
func (s *session) StartApp(ctx context.Context, req *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
	channels, err := s.channels()
	if err != nil {
		return nil, err
	}
	// The host has its ends open by now, and closes them if this fails.
	io, err := openStdio(channels, wantedStdio{req.Channels, req.Terminal, req.Stdin})
	if err != nil {
		return nil, err
	}
	a, err := s.agent.start(ctx, req, io)
	if err != nil {
		io.abandon()
		s.agent.logf("app %s: %v", req.Name, err)
		failure := &guestproto.StartFailure{Kind: classify(err), Message: err.Error()}
		return &guestproto.StartAppResponse{Failure: failure}, nil
	}
	return &guestproto.StartAppResponse{Pid: int32(a.service.PID())}, nil
}

// start makes an app's root and starts it in there.
func (a *Agent) start(ctx context.Context, req *guestproto.StartAppRequest, io *stdio) (*app, error) {
	app := &app{name: req.Name, req: req, stdio: io, gone: make(chan struct{}), putAway: make(chan struct{})}
	if err := a.reserve(app); err != nil {
		return nil, err
	}
	defer a.starting.Done()
	if err := a.launch(ctx, app, req); err != nil {
		a.mu.Lock()
		delete(a.apps, app.name)
		a.mu.Unlock()
		return nil, err
	}
	a.logf("app %s is process %d", app.name, app.service.PID())
	go func() {
		exit := app.wait()
		app.programs.close()
		a.events.add(exit)
		close(app.gone)
		// Every mount makes the next app's start slower.
		if err := app.root.Unmount(); err != nil {
			a.logf("app %s: %v", app.name, err)
		}
		close(app.putAway)
	}()
	return app, nil
}

// validName reports whether an app may be called that: it becomes an element
// of a path and of a unit's name. It is what ACName allows: lower-case letters
// and digits, and single dashes between them.
func validName(name string) bool {
	const maxName = 128
	if name == "" || len(name) > maxName {
		return false
	}
	dash := true // as if there were one before the first character
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			dash = false
		case c == '-' && !dash:
			dash = true
		default:
			return false
		}
	}
	return !dash
}

// reserve registers an app that is to be started.
func (a *Agent) reserve(app *app) error {
	if !validName(app.name) {
		return fmt.Errorf("%q can't be the name of an app", app.name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.builder == nil:
		return errors.New("the machine is not configured")
	case a.closing:
		return errors.New("the machine is being shut down")
	case a.apps[app.name] != nil:
		return errors.New("there is an app of that name")
	case len(a.apps) == guestproto.MaxApps:
		return fmt.Errorf("there are %d apps already", guestproto.MaxApps)
	}
	a.apps[app.name] = app
	a.starting.Add(1)
	return nil
}

// running returns an app that was started and has not ended.
func (a *Agent) running(name string) (*app, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	app := a.apps[name]
	if app == nil || app.service == nil {
		return nil, errNoApp(name)
	}
	select {
	case <-app.gone:
		return nil, errNoApp(name)
	default:
		return app, nil
	}
}

// launch does what start is for. On an error nothing is left of the app.
func (a *Agent) launch(ctx context.Context, app *app, req *guestproto.StartAppRequest) error {
	image, err := a.source(ctx, req.Disk)
	if err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	unseen, err := a.builder.Build(approot.Spec{
		Name:         app.name,
		Image:        image,
		Copy:         req.Disk.GetFilesystem() == guestproto.HostMount && !req.Disk.GetReadOnly(),
		ReadOnly:     req.ReadOnlyRoot,
		ProtectPaths: req.Confinement.GetProtectPaths(),
	})
	if err != nil {
		return err
	}
	defer unseen.Close()
	u := &unit{req: req, root: unseen.Path, container: a.opts.container()}
	if err := u.prepare(unseen.Root, a.accounts); err != nil {
		return err
	}
	if err := a.systemd.wait(ctx); err != nil {
		return err
	}
	if err := a.settle(); err != nil {
		return err
	}
	root, err := unseen.Show()
	if err != nil {
		return err
	}
	service, err := a.exec(ctx, app, root, u)
	if err != nil {
		return errors.Join(err, root.Unmount())
	}
	// Without them the app runs, but nothing can run beside it.
	surroundings, err := surroundingsOf(service.PID(), root)
	if err != nil {
		a.logf("app %s: nothing can run beside it: %v", app.name, err)
	} else if !a.opts.container() { // those of containers are the host's
		if err := ignorePressure(surroundings.Cgroup.Name()); err != nil {
			a.logf("app %s: %v", app.name, err)
		}
	}
	a.mu.Lock()
	app.root, app.service = root, service
	a.mu.Unlock()
	app.programs.open(surroundings)
	return nil
}

// exec starts the app's program in its root.
func (a *Agent) exec(ctx context.Context, app *app, root *approot.Root, u *unit) (*systemd.Service, error) {
	if err := app.stdio.prepare(u.uid, root); err != nil {
		return nil, fmt.Errorf("prepare stdio: %w", err)
	}
	// The app has its copies, or never will.
	defer app.stdio.closeTheirs()
	if app.stdio.syslog != nil {
		if err := app.stdio.syslog.listen(root.Root); err != nil {
			a.logf("app %s: %v", app.name, err)
		}
	}
	properties, err := u.properties(app.stdio)
	if err != nil {
		return nil, err
	}
	if app.manager, err = a.systemd.manager(ctx); err != nil {
		return nil, err
	}
	// From now on, since systemd tells of the start when the app may have said all it
	// has to say.
	app.stdio.run()
	app.oomed = oomKills()
	service, err := app.manager.Start(ctx, "app-"+app.name+".service", properties)
	var start *systemd.StartError
	switch {
	case !errors.As(err, &start):
	case start.Step == systemd.StepExec:
		return nil, cmp.Or(approot.ExplainExec(root.Root, u.binary), err)
	case start.Step == "" && u.preStart != "":
		return nil, fmt.Errorf("event handler pre-start: %q failed", u.preStart)
	}
	return service, err
}

// wait returns how the app ended when all its processes have.
func (a *app) wait() *guestproto.Exit {
	<-a.service.Exited()
	// They are guests: a forgotten shell must not hold up the app's end.
	a.programs.kill()
	a.outwait(a.service.Cleared())
	<-a.service.Handled() // which may take its time
	a.outwait(a.service.Dead())
	a.stdio.finish()
	status := a.service.Status()
	return &guestproto.Exit{
		App:       a.name,
		Code:      status.Code,
		Signal:    status.Signal,
		CoreDump:  status.CoreDump,
		OomKilled: status.Signal == sigkill && !a.killed.Load() && oomKills() > a.oomed,
	}
}

// outwait waits until processes that are left over have ended, and makes them.
func (a *app) outwait(ended <-chan struct{}) {
	select {
	case <-ended:
	case <-time.After(leftoverGrace):
		a.kill()
		<-ended
	}
}

// stop asks the app to end, makes it end after timeout, and waits for that.
func (a *app) stop(ctx context.Context, timeout time.Duration) error {
	if err := a.manager.Stop(ctx, a.service); err != nil && !errors.Is(err, systemd.ErrGone) {
		return fmt.Errorf("stop app %s: %w", a.name, err)
	}
	// The second time is for what runs afterwards.
	for _, limit := range []time.Duration{timeout, leftoverGrace} {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-a.gone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		a.kill()
	}
	select {
	case <-a.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends all the app's processes. That there are none any more is as well.
func (a *app) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), leftoverGrace)
	defer cancel()
	a.killed.Store(true)
	_ = a.manager.Kill(ctx, a.service, systemd.All, sigkill)
}
