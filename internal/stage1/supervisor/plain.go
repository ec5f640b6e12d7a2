package supervisor

import (
	"context"

	"rkt/internal/appc"
	"rkt/internal/stage1"
)

// Plain is a pod in the working directory for a flavour that has no machine:
// what it shares with the others is what rkt left for it and what it has to
// leave for rkt.
type Plain struct{ pod *pod }

// OpenPlain reads the pod and makes its process group: all that this program
// starts can be killed by it.
func OpenPlain(ctx context.Context, uuid string) (*Plain, error) {
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
	return &Plain{p}, joinCgroup(ctx, uuid, 0)
}

// Apps returns the pod's apps, each with its app section.
func (p *Plain) Apps() []appc.RuntimeApp { return p.pod.apps }

// Started records the pod's first process. The apps run.
func (p *Plain) Started(pid int) error {
	if err := writePid(pid); err != nil {
		return err
	}
	return markReady()
}

// Ended records how an app ended, and kills what is left of the pod besides this
// program.
func (p *Plain) Ended(ctx context.Context, app string, status int) error {
	if err := writeStatus(app, status); err != nil {
		return err
	}
	group, err := recordedCgroup(p.pod.uuid)
	if err != nil {
		return err
	}
	return group.KillOthers(ctx)
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
