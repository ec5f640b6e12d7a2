package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/fault"
	"rkt/internal/guest/client"
	"rkt/internal/linux"
	"rkt/internal/network"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor/control"
)

const (
	// statusOwnError is rkt's exit status for everything that is not an app's.
	statusOwnError = 254
	// bootTimeout bounds everything between the machine's start and the last
	// app's. Emulation on a busy host is slow.
	bootTimeout = 5 * time.Minute
	// appStopTimeout is how long apps may take to end after SIGTERM.
	appStopTimeout = 10 * time.Second
	// maxStopTimeout is the longest that anybody may ask for.
	maxStopTimeout = 365 * 24 * time.Hour
	// machineStopTimeout is how long the machine may take beyond that.
	machineStopTimeout = 20 * time.Second
	// lostGrace is how long a machine whose agent is gone may take to end by
	// itself and say why.
	lostGrace = 2 * time.Second
)

var (
	// errStopped means that the pod was asked to end before its apps were
	// started.
	errStopped = errors.New("stopped before the apps were started")
	// errRecord means that the pod's own files could not be written.
	errRecord = errors.New("record the status of an app")
)

// run is one pod on its way from start to end.
type run struct {
	args    stage1.RunArgs
	pod     *pod
	stops   *stops
	service *service
	control *control.Server
	stdio   *stdio
	machine Machine
	session *client.Machine
	network *network.Network // nil if the pod has none
	// ownKernel says that the pod's networks are to be set up inside, too.
	ownKernel bool
	// helper takes the pod off its networks once this program can't, nil before.
	helper *helper
	// metadata is the service that the pod is registered with, if it is.
	metadata metadataService

	firstFailure int // exit status of the first app that ended non-zero
	recorded     map[string]bool
}

// Run runs the pod in the working directory and returns the exit status that
// rkt ends with: the apps' as docs/exit-status.md says, 254 with an error.
func Run(ctx context.Context, launcher Launcher, args stage1.RunArgs) (int, error) {
	// What the library for calls remarks on what machines send is no output of
	// rkt's: what matters comes as an error.
	log.L.Logger.SetOutput(io.Discard)
	p, err := loadPod(args.UUID)
	if err != nil {
		return statusOwnError, err
	}
	if err := p.makeRoom(); err != nil {
		return statusOwnError, err
	}
	r := &run{args: args, pod: p, stops: newStops(), recorded: make(map[string]bool)}
	r.service = &service{stops: r.stops}
	defer r.stops.close()
	if err := r.serveControl(ctx); err != nil {
		return statusOwnError, fmt.Errorf("control socket: %w", err)
	}
	if args.Interactive && len(p.apps) > 1 {
		return statusOwnError, errors.New("interactive option only supports one image")
	}
	logs, err := p.openLogs()
	if err != nil {
		return statusOwnError, fmt.Errorf("open the apps' logs: %w", err)
	}
	r.stdio = newStdio(args.Interactive, r.stops, logs)
	defer r.stdio.close()

	defer r.disconnect(ctx)
	if err := r.launch(ctx, launcher); err != nil {
		return statusOwnError, err
	}
	defer r.end()
	if err := r.boot(ctx); err != nil {
		return statusOwnError, r.explain(err)
	}
	if err := r.supervise(); err != nil {
		return statusOwnError, r.explain(err)
	}
	if err := r.shutdown(ctx); err != nil {
		return statusOwnError, r.explain(err)
	}
	return r.firstFailure, nil
}

// serveControl makes the pod stoppable from here on.
func (r *run) serveControl(ctx context.Context) error {
	server, err := control.Listen()
	if err != nil {
		return err
	}
	r.control = server
	// The socket lives as long as the process; nothing is lost with it.
	go func() { _ = server.Serve(ctx, r.service) }()
	return nil
}

// launch starts the machine inside the pod's control group.
func (r *run) launch(ctx context.Context, launcher Launcher) error {
	has := stage1.Isolation(launcher.Isolation())
	if !has.Satisfies(r.args.RequireIsolation) {
		return fmt.Errorf("isolation %q is required, but there is only %q", r.args.RequireIsolation, has)
	}
	r.ownKernel = has != stage1.IsolationContainer
	if err := r.suit(); err != nil {
		return err
	}
	if notice := launcher.Notice(); notice != "" {
		fmt.Fprintln(os.Stderr, "stage1: "+notice)
	}
	if err := writeFile(stage1.IsolationFile, []byte(launcher.Isolation()+"\n")); err != nil {
		return err
	}
	guestMemory := memory(r.pod.apps)
	if err := joinCgroup(ctx, r.pod.uuid, launcher.Memory(guestMemory)); err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	var err error
	if err = r.findMetadataService(ctx); err != nil {
		return err
	}
	if r.network, err = r.connect(ctx, r.ownKernel); err != nil {
		return err
	}
	if err := errors.Join(r.guard(), r.register(ctx)); err != nil {
		return err
	}
	spec := Spec{
		Network:     r.network,
		UUID:        r.pod.uuid,
		Apps:        r.pod.apps,
		Run:         r.args,
		CPUs:        cpus(r.pod.apps, runtime.NumCPU()),
		MemoryBytes: guestMemory,
		DiskBytes:   int64(r.pod.diskSize),
		Overlay:     r.pod.overlay,
		ID:          r.pod.id,
		Lock:        r.pod.lock,
		Disks:       r.pod.disks,
	}
	if r.args.Debug {
		if spec.Console, err = console(); err != nil {
			return fmt.Errorf("log of the console: %w", err)
		}
	}
	fault.Point("run.machine.before-start")
	machine, err := launcher.Launch(ctx, spec)
	if err != nil {
		return err
	}
	fault.Point("run.machine.after-start")
	r.machine = machine
	controlStream, data := machine.Streams()
	r.session = client.New(controlStream, data, client.Options{})
	return writePid(machine.Pid())
}

// boot brings the machine from its first instruction to running apps. A
// request to stop, or the machine's end, ends it early.
func (r *run) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	watched := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		select {
		case <-finished:
			watched <- nil
		case <-r.stops.requests:
			watched <- errStopped
		case <-r.machine.Done():
			watched <- client.ErrLost
		}
		cancel()
	}()
	err := r.startApps(ctx)
	close(finished)
	if why := <-watched; why != nil {
		return why
	}
	if err != nil {
		return err
	}
	if r.network != nil {
		if r.helper, err = startHelper(r.pod.uuid, r.pod.lock); err != nil {
			return fmt.Errorf("start helper: %w", err)
		}
	}
	// From here on the supervisor only reads what the guest sends and kills
	// what is its own.
	if err := linux.DropCapabilities(unix.CAP_KILL); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	r.service.session.Store(r.session)
	return markReady()
}

func (r *run) startApps(ctx context.Context) error {
	disks, err := r.machine.Attach(ctx, r.pod.disks)
	if err != nil {
		return fmt.Errorf("attach disks: %w", err)
	}
	if err := writeFile(stage1.DiskCheckFile, []byte(diskCheck(r.pod.disks, disks.Apps)+"\n")); err != nil {
		return err
	}
	if _, err := r.session.Hello(ctx); err != nil {
		return fmt.Errorf("greet the guest: %w", err)
	}
	config := client.Config{
		Hostname:  r.hostname(),
		MachineID: strings.ReplaceAll(r.pod.uuid, "-", ""),
		Scratch:   disks.Scratch,
		Debug:     r.args.Debug,
	}
	if config.Names, err = r.names(); err != nil {
		return fmt.Errorf("files of names: %w", err)
	}
	if r.network != nil && r.ownKernel {
		config.Links, config.Sysctls = guestLinks(r.network)
	}
	if err := r.session.Configure(ctx, config); err != nil {
		return fmt.Errorf("configure the guest: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, app := range r.pod.apps {
		group.Go(func() error { return r.startApp(ctx, app, disks.Apps[i]) })
	}
	return group.Wait()
}

func (r *run) startApp(ctx context.Context, app appc.RuntimeApp, disk client.Disk) error {
	request, err := r.guestApp(app, disk)
	if err != nil {
		return fmt.Errorf("app %q: %w", app.Name, err)
	}
	r.stdio.prepare(&request)
	started, err := r.session.StartApp(ctx, request)
	if err != nil {
		return err
	}
	r.stdio.connect(ctx, r.session, request.Name, started)
	return nil
}

// supervise returns when the pod should end in order: all apps have ended, one
// failed, or somebody asked. The error says that the machine is lost.
func (r *run) supervise() error {
	for len(r.recorded) < len(r.pod.apps) {
		select {
		case exit, open := <-r.session.Exits():
			if !open {
				return r.session.Err()
			}
			if err := r.record(exit); err != nil {
				return err
			}
			if exit.Status() != 0 {
				return nil
			}
		case <-r.stops.requests:
			return nil
		case <-r.machine.Done():
			return client.ErrLost
		}
	}
	return nil
}

// record notes how an app ended, once.
func (r *run) record(exit client.Exit) error {
	if r.recorded[exit.App] {
		return nil
	}
	r.recorded[exit.App] = true
	if r.firstFailure == 0 {
		r.firstFailure = exit.Status()
	}
	if err := writeStatus(exit.App, exit.Status()); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	return nil
}

// shutdown ends the machine in order and prints what the apps still say. A
// second request by key or signal, or a machine that takes too long, is cut
// short.
func (r *run) shutdown(ctx context.Context) error {
	timeout := time.Duration(r.stops.timeout.Load())
	// Also if it is as long as there are numbers for.
	ctx, cancel := context.WithTimeout(ctx, min(timeout, maxStopTimeout)+machineStopTimeout)
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-r.stops.urgent:
			cancel()
		case <-finished:
		}
	}()
	goodbye, err := r.session.Shutdown(ctx, min(timeout, maxStopTimeout))
	for _, exit := range goodbye.Exits {
		if err := r.record(exit); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("shut down the guest: %w", err)
	}
	r.stdio.drain(ctx)
	// Nothing is in there any more that would have to end by itself; what was written
	// is the host's.
	r.machine.Kill()
	select {
	case <-r.machine.Done():
	case <-ctx.Done():
	}
	return nil
}

// end makes sure that nothing of the machine is left.
func (r *run) end() {
	r.machine.Kill()
	<-r.machine.Done()
	_ = r.session.Close()
	r.stdio.drain(context.Background())
	// Those who wait for a program learn how it ended.
	_ = r.control.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	r.service.awaitClients(ctx, r.control)
}

// explain adds the machine's last words to an error if the machine is gone.
func (r *run) explain(err error) error {
	var start *client.StartError
	if errors.Is(err, errStopped) || errors.Is(err, errRecord) || errors.As(err, &start) {
		return err
	}
	// A session often ends a moment before the process that carried it.
	select {
	case <-r.machine.Done():
	case <-time.After(lostGrace):
		return err
	}
	if words := r.machine.LastWords(); words != "" {
		return fmt.Errorf("the pod's machine ended unexpectedly: %s", words)
	}
	return errors.New("the pod's machine ended unexpectedly")
}

func (r *run) hostname() string {
	if r.args.Hostname != "" {
		return r.args.Hostname
	}
	return "rkt-" + r.pod.uuid
}
