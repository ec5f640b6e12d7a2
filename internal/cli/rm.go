package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
	"rkt/internal/pod"
)

func (p *program) newRm() *cobra.Command {
	var uuidFile uuidFileFlag
	var wait bool
	cmd := &cobra.Command{
		Use:   "rm [--wait] (--uuid-file=FILE | UUID…)",
		Short: "Remove pods and all their files",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireRoot(); err != nil {
				return err
			}
			uuids, err := uuidFile.uuids(cmd, args)
			if err != nil {
				return err
			}
			return p.rm(cmd, uuids, wait)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for pods that run to end")
	uuidFile.add(cmd)
	return cmd
}

func (p *program) rm(cmd *cobra.Command, uuids []string, wait bool) error {
	c := &pod.Collector{}
	if err := p.complete(cmd, c); err != nil {
		return err
	}
	failed := false
	for _, uuid := range uuids {
		if err := p.rmOne(cmd.Context(), c, uuid, wait); err != nil {
			p.messages(cmd).err(err)
			failed = true
		}
	}
	if failed {
		return errors.New("failed to remove one or more pods")
	}
	return nil
}

func (p *program) rmOne(ctx context.Context, c *pod.Collector, uuid string, wait bool) error {
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	if wait {
		if err := opened.WaitFinished(ctx); err != nil {
			return err
		}
	}
	err = c.Remove(ctx, opened)
	switch {
	case errors.Is(err, pod.ErrRunning):
		return errhint.With(fmt.Errorf("pod %q is currently running", opened.UUID), "stop it first, with `rkt stop`")
	case errors.Is(err, pod.ErrPreparing):
		return fmt.Errorf("pod %q is currently being prepared", opened.UUID)
	case errors.Is(err, pod.ErrDeleting):
		return fmt.Errorf("pod %q is currently being deleted", opened.UUID)
	case errors.Is(err, pod.ErrGone):
		return fmt.Errorf("pod %q was removed meanwhile", opened.UUID)
	case err != nil:
		return fmt.Errorf("remove pod %q: %w", opened.UUID, detail(err))
	}
	_, err = fmt.Fprintf(p.stdout, "%q\n", opened.UUID)
	return err
}
