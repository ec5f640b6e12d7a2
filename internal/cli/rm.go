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
	cmd := &cobra.Command{
		Use:   "rm (--uuid-file=FILE | UUID…)",
		Short: "Remove pods and all their files",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireRoot(); err != nil {
				return err
			}
			uuids, err := uuidFile.uuids(cmd, args)
			if err != nil {
				return err
			}
			return p.rm(cmd, uuids)
		},
	}
	uuidFile.add(cmd)
	return cmd
}

func (p *program) rm(cmd *cobra.Command, uuids []string) error {
	c := &pod.Collector{}
	if err := p.complete(cmd, c); err != nil {
		return err
	}
	failed := false
	for _, uuid := range uuids {
		if err := p.rmOne(cmd.Context(), c, uuid); err != nil {
			p.messages(cmd).err(err)
			failed = true
		}
	}
	if failed {
		return errors.New("failed to remove one or more pods")
	}
	return nil
}

func (p *program) rmOne(ctx context.Context, c *pod.Collector, uuid string) error {
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
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
