package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

const (
	// stopTimeout is how long apps may take to end unless the user says.
	stopTimeout = 10 * time.Second
	// stopLimit is how long stop waits beyond that for the pod to end: a stage1
	// needs some time for itself.
	stopLimit = 50 * time.Second
)

type stop struct {
	force    bool
	timeout  time.Duration
	uuidFile uuidFileFlag
}

func (p *program) newStop() *cobra.Command {
	var s stop
	cmd := &cobra.Command{
		Use:   "stop [--force] [--timeout=FOR] (--uuid-file=FILE | UUID…)",
		Short: "Stop running pods and wait until they have ended",
		Long: `Asks the apps to end, with SIGTERM, kills those that have not ended in time, and
returns when the pods have ended. A pod that has ended already is no error.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.timeout < 0 {
				return usage(cmd, fmt.Errorf("--timeout=%v must not be negative", s.timeout))
			}
			return p.stop(cmd, &s, args)
		},
	}
	cmd.Flags().DurationVar(&s.timeout, "timeout", stopTimeout, "how long apps may take to end before they are killed")
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
		if err := p.stopOne(cmd, uuid, s); err != nil {
			p.messages(cmd).err(err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("failed to stop %d pod(s)", failed)
	}
	return nil
}

func (p *program) stopOne(cmd *cobra.Command, uuid string, s *stop) error {
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
	limit := stopLimit
	args := stage1.StopArgs{Force: s.force}
	if !s.force {
		limit += min(s.timeout, math.MaxInt64-stopLimit)
	}
	// The stage1's own choice is the same, and older ones have no other.
	if cmd.Flags().Changed("timeout") {
		args.Timeout = &s.timeout
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), limit)
	defer cancel()
	err = opened.Stop(ctx, p.stage1Call(), args)
	if err == nil {
		err = opened.WaitFinished(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errhint.With(fmt.Errorf("it has not ended within %v", limit), "try --force")
	}
	if err != nil {
		return fmt.Errorf("stop pod %q: %w", opened.UUID, detail(err))
	}
	_, err = fmt.Fprintf(p.stdout, "%q\n", opened.UUID)
	return err
}
