package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// execute is what the flags of exec and enter say.
type execute struct {
	annotation string // of the entry point
	app        string
	args       stage1.ExecArgs
	uuidFile   string
}

func (p *program) newExec() *cobra.Command {
	e := execute{annotation: stage1.AnnotationExec}
	cmd := &cobra.Command{
		Use:   "exec [flags] (--uuid-file=FILE | UUID) CMD [ARG…]",
		Short: "Run a command beside an app of a running pod",
		Long: `Runs a command in the place of an app: in its root directory and control
group, as its user, and confined as the app is. The exit status is the
command's, 128 plus the number of the signal that killed it, or 254 if rkt
itself failed, as when there is no such command.`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.execute(cmd, &e, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // the flags after UUID are the command's
	flags.StringVar(&e.app, "app", "", "the app; needed if the pod has several")
	flags.BoolVarP(&e.args.Interactive, "interactive", "i", false, "connect the command's stdin")
	flags.BoolVarP(&e.args.Terminal, "tty", "t", false, "give the command a terminal")
	flags.BoolVar(&e.args.Privileged, "privileged", false, "run as root of the pod, with all capabilities and system calls")
	flags.StringVarP(&e.args.User, "user", "u", "", "run as this user instead of the app's: a number, a name, or a path whose owner is meant")
	flags.StringVar(&e.args.Group, "group", "", "run as this group; without it the user's, or the app's if that is not given either")
	flags.StringVarP(&e.args.WorkingDirectory, "workdir", "w", "", "directory to run in instead of the app's")
	flags.StringArrayVarP(&e.args.Environment, "env", "e", nil, "set a variable NAME=value; NAME alone passes on rkt's own")
	flags.StringVar(&e.uuidFile, "uuid-file", "", "read the pod's UUID from a file instead of an argument")
	return cmd
}

func (p *program) newEnter() *cobra.Command {
	e := execute{annotation: stage1.AnnotationEnter}
	cmd := &cobra.Command{
		Use:   "enter [--app=NAME] (--uuid-file=FILE | UUID) [CMD [ARG…]]",
		Short: "Enter the place of an app of a running pod",
		Long: `Runs a command, /bin/bash if none is given, beside an app as rkt exec does, with
the caller's stdin, and on a terminal if the caller has one.`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.execute(cmd, &e, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&e.app, "app", "", "the app; needed if the pod has several")
	flags.BoolVar(&e.args.Privileged, "privileged", false, "enter as root of the pod, with all capabilities and system calls")
	flags.StringVar(&e.uuidFile, "uuid-file", "", "read the pod's UUID from a file instead of an argument")
	return cmd
}

// execute becomes the entry point that runs the command.
func (p *program) execute(cmd *cobra.Command, e *execute, args []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	uuid, command, err := e.split(cmd, args)
	if err != nil {
		return err
	}
	if e.args.Environment, err = passEnvironment(e.args.Environment); err != nil {
		return usage(cmd, err)
	}
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := awaitRunning(cmd.Context(), opened); err != nil {
		return err
	}
	if e.args.App, err = p.pickApp(cmd, opened, e.app); err != nil {
		return err
	}
	if len(command) == 0 {
		command = []string{"/bin/bash"}
		p.messages(cmd).print(`no command specified, assuming "/bin/bash"`)
	}
	e.args.Command = command
	return detail(opened.Replace(p.stage1Program, e.annotation, e.args.Args()))
}

// split takes the arguments apart.
func (e *execute) split(cmd *cobra.Command, args []string) (uuid string, command []string, err error) {
	if e.uuidFile != "" {
		if uuid, err = pod.ReadUUIDFile(e.uuidFile); err != nil {
			return "", nil, fmt.Errorf("unable to read the UUID file: %w", err)
		}
	} else {
		if len(args) == 0 {
			return "", nil, usage(cmd, errors.New("must provide the UUID of a pod"))
		}
		uuid, args = args[0], args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 && e.annotation == stage1.AnnotationExec {
		return "", nil, usage(cmd, errors.New("must provide a command"))
	}
	return uuid, args, nil
}

// passEnvironment fills in the values of variables that are given by name.
func passEnvironment(variables []string) ([]string, error) {
	var all []string
	for _, v := range variables {
		name, _, hasValue := strings.Cut(v, "=")
		if name == "" {
			return nil, fmt.Errorf("--env=%s: there is no name", v)
		}
		if !hasValue {
			value, ok := os.LookupEnv(name)
			if !ok {
				continue // as other tools do
			}
			v = name + "=" + value
		}
		all = append(all, v)
	}
	return all, nil
}

// awaitRunning returns when the pod's apps were started.
func awaitRunning(ctx context.Context, opened *pod.Pod) error {
	state, err := opened.State()
	if err != nil {
		return err
	}
	if state == pod.Running {
		if err := opened.WaitReady(ctx); err != nil {
			return err
		}
		if state, err = opened.State(); err != nil {
			return err
		}
	}
	if state != pod.Running {
		return errhint.With(fmt.Errorf("pod %q isn't currently running", opened.UUID), "its state is: "+string(state))
	}
	return nil
}

// pickApp returns the app that is meant: the only one unless it is named.
func (p *program) pickApp(cmd *cobra.Command, opened *pod.Pod, name string) (string, error) {
	apps, err := appNames(opened)
	if err != nil {
		return "", err
	}
	if name != "" {
		apps, err = onlyApp(apps, name)
		if err != nil {
			return "", err
		}
	}
	switch len(apps) {
	case 0:
		return "", errors.New("the pod contains no apps")
	case 1:
		return apps[0], nil
	}
	p.messages(cmd).print("pod contains multiple apps:")
	for _, app := range apps {
		p.messages(cmd).print("\t" + app)
	}
	return "", fmt.Errorf("specify app using %q", fmt.Sprintf("rkt %s --app= ...", cmd.Name()))
}
