package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
	"rkt/internal/pod"
)

// stopLimit is how long stop waits for a pod to end. A stage1 gives apps ten
// seconds and then needs some for itself.
const stopLimit = time.Minute

type stop struct {
	force    bool
	uuidFile uuidFileFlag
}

func (p *program) newStop() *cobra.Command {
	var s stop
	cmd := &cobra.Command{
		Use:   "stop [--force] (--uuid-file=FILE | UUID…)",
		Short: "Stop running pods and wait until they have ended",
		RunE:  func(cmd *cobra.Command, args []string) error { return p.stop(cmd, &s, args) },
	}
	cmd.Flags().BoolVar(&s.force, "force", false, "end the pods at once instead of asking their apps to end")
	s.uuidFile.add(cmd)
	return cmd
}

func (p *program) stop(cmd *cobra.Command, s *stop, args []string) error {
	uuids, err := s.uuidFile.uuids(cmd, args)
	if err != nil {
		return err
	}
	failed := 0
	for _, uuid := range uuids {
		if err := p.stopOne(cmd.Context(), uuid, s.force); err != nil {
			p.messages(cmd).err(err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("failed to stop %d pod(s)", failed)
	}
	return nil
}

func (p *program) stopOne(ctx context.Context, uuid string, force bool) error {
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	state, err := opened.State()
	switch {
	case err != nil:
		return err
	case state.Finished():
		_, err := fmt.Fprintf(p.stdout, "pod %q is already stopped\n", opened.UUID)
		return err
	case state != pod.Running:
		return fmt.Errorf("pod %q is not running", opened.UUID)
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	err = opened.Stop(ctx, p.stage1Call(), force)
	if err == nil {
		err = opened.WaitFinished(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errhint.With(fmt.Errorf("it has not ended within %v", stopLimit), "try --force")
	}
	if err != nil {
		return fmt.Errorf("stop pod %q: %w", opened.UUID, detail(err))
	}
	_, err = fmt.Fprintf(p.stdout, "%q\n", opened.UUID)
	return err
}
