package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"rkt/internal/appc"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/applog"
	"rkt/internal/stage1/supervisor/control"
)

// Plain is a pod in the working directory for a flavour that has no machine:
// what it shares with the others is what rkt left for it and what it has to
// leave for rkt.
type Plain struct {
	pod     *pod
	control *control.Server
	logs    map[string]*applog.Log
	copies  sync.WaitGroup
	printed []*patientWriter
}

// OpenPlain reads the pod and makes its process group: all that this program
// starts can be killed by it. From then on service answers other entry points.
func OpenPlain(ctx context.Context, uuid string, service control.Service) (*Plain, error) {
	p, err := loadPod(uuid)
	if err != nil {
		return nil, err
	}
	if err := p.makeRoom(); err != nil {
		return nil, err
	}
	if err := writeFile(stage1.IsolationFile, []byte("none\n")); err != nil {
		return nil, err
	}
	plain := &Plain{pod: p}
	if plain.logs, err = p.openLogs(); err != nil {
		return nil, fmt.Errorf("open the apps' logs: %w", err)
	}
	if err := joinCgroup(ctx, uuid, 0); err != nil {
		return nil, err
	}
	if plain.control, err = control.Listen(); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// The socket lives as long as the process; nothing is lost with it.
	go func() { _ = plain.control.Serve(ctx, service) }()
	return plain, nil
}

// Apps returns the pod's apps, each with its app section.
func (p *Plain) Apps() []appc.RuntimeApp { return p.pod.apps }

// Output returns what an app is to write to: a pipe that belongs to its user.
// What comes out of it is kept in the app's log as stream, and written to print
// as it is. The caller closes its copy.
func (p *Plain) Output(app, stream string, uid uint32, print *os.File) (*os.File, error) {
	theirs, ours, err := linux.PipeFor(linux.WriteEnd)
	if err != nil {
		return nil, err
	}
	if err := theirs.Chown(int(uid), -1); err != nil {
		theirs.Close()
		ours.Close()
		return nil, err
	}
	log, out := p.logs[app].Stream(stream), newPatientWriter(print)
	p.printed = append(p.printed, out)
	p.copies.Go(func() {
		defer ours.Close()
		defer log.Close()
		// Neither of them ever fails.
		_, _ = io.Copy(io.MultiWriter(log, rawOutput{out}), ours)
	})
	return theirs, nil
}

// rawOutput passes on what an app writes as it is.
type rawOutput struct{ to *patientWriter }

func (r rawOutput) Write(b []byte) (int, error) {
	r.to.put(b)
	return len(b), nil
}

// Started records the pod's first process. The apps run.
func (p *Plain) Started(pid int) error {
	if err := writePid(pid); err != nil {
		return err
	}
	return markReady()
}

// Ended records how an app ended, kills what is left of the pod besides this
// program, and returns when all output is written.
func (p *Plain) Ended(ctx context.Context, app string, status int) error {
	if err := writeStatus(app, status); err != nil {
		return err
	}
	group, err := recordedCgroup(p.pod.uuid)
	if err != nil {
		return err
	}
	if err := group.KillOthers(ctx); err != nil {
		return err
	}
	p.copies.Wait() // nobody has the other ends any more
	for _, out := range p.printed {
		out.flush(ctx)
	}
	// Those who wait for a program learn how it ended.
	_ = p.control.Close()
	p.control.Wait(ctx)
	return nil
}

// WriteEnvironment records an app's variables, one NAME=value a line.
func WriteEnvironment(app string, variables []string) error {
	text := ""
	for _, v := range variables {
		text += v + "\n"
	}
	return writeFile(stage1.EnvDir+"/"+app, []byte(text))
}

// Environment returns an app's variables as NAME=value: those of its manifest,
// the defaults for names that are missing, and the app's name.
func Environment(app appc.RuntimeApp) []string {
	var variables []string
	for _, v := range environment(app, "") {
		variables = append(variables, v.Name+"="+v.Value)
	}
	return variables
}
