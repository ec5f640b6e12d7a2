package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/pod"
)

type status struct {
	wait, waitReady waitFlag
	format          format
	uuidFile        uuidFileFlag
}

func (p *program) newStatus() *cobra.Command {
	var s status
	cmd := &cobra.Command{
		Use:   "status [--wait[=FOR]] [--wait-ready[=FOR]] [--format=json] (--uuid-file=FILE | UUID)",
		Short: "Check the status of a pod",
		RunE:  func(cmd *cobra.Command, args []string) error { return p.status(cmd, &s, args) },
	}
	s.wait.add(cmd, "wait", "wait for the pod to finish, for ever or as long as given")
	s.waitReady.add(cmd, "wait-ready", "wait for the pod's apps to be started, for ever or as long as given")
	s.format.add(cmd.Flags())
	s.uuidFile.add(cmd)
	return cmd
}

func (p *program) status(cmd *cobra.Command, s *status, args []string) error {
	uuid, err := s.uuidFile.uuid(cmd, args)
	if err != nil {
		return err
	}
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := s.waitReady.wait(cmd.Context(), opened.WaitReady); err != nil {
		return fmt.Errorf("error waiting for pod readiness: %w", err)
	}
	if err := s.wait.wait(cmd.Context(), opened.WaitFinished); err != nil {
		return fmt.Errorf("error waiting for pod to finish: %w", err)
	}
	info, err := opened.Info()
	if err != nil {
		return detail(err)
	}
	if s.format != formatText {
		return s.format.writeJSON(p.stdout, viewPod(info))
	}
	return printStatus(p.stdout, info)
}

// printStatus prints one name=value a line.
func printStatus(w io.Writer, info *pod.Info) error {
	lines := "state=" + string(info.State) + "\n"
	if !info.Created.IsZero() {
		lines += "created=" + formatTime(info.Created, time.Time{}, true) + "\n"
	}
	if !info.Started.IsZero() {
		lines += "started=" + formatTime(info.Started, time.Time{}, true) + "\n"
	}
	switch info.State {
	case pod.Running, pod.Exited, pod.ExitedGarbage, pod.ExitedDeleting, pod.Deleting:
		lines += statusOfStarted(info)
	case pod.Embryo, pod.Preparing, pod.AbortedPrepare, pod.Prepared, pod.Garbage:
	}
	_, err := io.WriteString(w, lines)
	return err
}

func statusOfStarted(info *pod.Info) (lines string) {
	if info.State == pod.Running || info.State == pod.Exited {
		lines += "networks=" + listNetworks(info.Networks) + "\n"
	}
	if info.Pid != 0 {
		lines += fmt.Sprintf("pid=%d\n", info.Pid)
	}
	lines += fmt.Sprintf("exited=%t\n", info.State != pod.Running)
	for _, app := range info.Apps {
		if app.ExitCode != nil && info.State != pod.Running {
			lines += fmt.Sprintf("app-%s=%d\n", app.Name, *app.ExitCode)
		}
	}
	if info.DiskCheck != "" {
		lines += "disk-check=" + info.DiskCheck + "\n"
	}
	if info.Isolation != "" {
		lines += "isolation=" + info.Isolation + "\n"
	}
	return lines
}

// waitFlag says whether to wait and for how long: a boolean or a duration,
// where a negative one means for ever.
type waitFlag struct {
	on    bool
	limit time.Duration // 0: for ever
}

func (f *waitFlag) add(cmd *cobra.Command, name, usage string) {
	cmd.Flags().VarPF(f, name, "", usage).NoOptDefVal = "true"
}

func (f *waitFlag) Type() string { return "bool or duration" }

func (f *waitFlag) String() string {
	if f.limit != 0 {
		return f.limit.String()
	}
	return strconv.FormatBool(f.on)
}

func (f *waitFlag) Set(value string) error {
	if on, err := strconv.ParseBool(value); err == nil {
		*f = waitFlag{on: on}
		return nil
	}
	limit, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("%q is neither a boolean nor a duration such as 30s", value)
	}
	*f = waitFlag{on: limit != 0, limit: max(limit, 0)}
	return nil
}

func (f *waitFlag) wait(ctx context.Context, until func(context.Context) error) error {
	if !f.on {
		return nil
	}
	if f.limit > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, f.limit)
		defer cancel()
	}
	return until(ctx)
}
