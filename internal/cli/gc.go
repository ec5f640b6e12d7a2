package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/pod"
)

func (p *program) newGC() *cobra.Command {
	c := &pod.Collector{}
	cmd := &cobra.Command{
		Use:   "gc [--grace-period=DURATION] [--expire-prepared=DURATION] [--mark-only]",
		Short: "Delete pods that are no longer used",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := requireRoot(); err != nil {
				return err
			}
			if err := p.complete(cmd, c); err != nil {
				return err
			}
			return p.collect(cmd, c)
		},
	}
	cmd.Flags().DurationVar(&c.GracePeriod, "grace-period", 30*time.Minute, "how long to keep pods that have exited")
	cmd.Flags().DurationVar(&c.ExpirePrepared, "expire-prepared", 24*time.Hour, "how long to keep prepared pods that were never run")
	cmd.Flags().BoolVar(&c.MarkOnly, "mark-only", false, "mark pods for deletion, but delete none")
	return cmd
}

func (p *program) collect(cmd *cobra.Command, c *pod.Collector) error {
	sweepErr := p.sweepStore()
	failed := 0
	for _, err := range c.Collect(cmd.Context()) {
		p.messages(cmd).err(detail(err))
		failed++
	}
	if failed > 0 {
		return fmt.Errorf("failed to collect %d pod(s)", failed)
	}
	return sweepErr
}

// sweepStore removes what killed processes left half made in the image store,
// for which opening it is enough, and beside it.
func (p *program) sweepStore() error {
	images, err := p.openStore()
	if err != nil {
		return err
	}
	return errors.Join(images.Close(), p.sweepStage1Records())
}

// complete gives a collector what it shares with those of other commands.
func (p *program) complete(cmd *cobra.Command, c *pod.Collector) error {
	pods, err := p.pods()
	if err != nil {
		return err
	}
	m := p.messages(cmd)
	c.Pods, c.Call, c.Now = pods, p.stage1Call(), p.now
	c.Notify = func(event pod.Event, uuid string) {
		switch event {
		case pod.MovedExited:
			m.printf("moving pod %q to garbage", uuid)
		case pod.MovedAborted:
			m.printf("moving failed prepare %q to garbage", uuid)
		case pod.MovedPrepared:
			m.printf("moving expired prepared pod %q to garbage", uuid)
		case pod.Removing:
			fmt.Fprintf(p.stdout, "Garbage collecting pod %q\n", uuid)
		case pod.InGrace:
			m.printf("pod %q not removed: still within grace period (%v)", uuid, c.GracePeriod)
		case pod.NoStage1:
			m.printf("the stage1 that pod %q ran in is gone, so only the pod's files are removed", uuid)
		}
	}
	return nil
}
