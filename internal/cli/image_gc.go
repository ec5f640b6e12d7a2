package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/image/store"
	"rkt/internal/pod"
)

func (p *program) newImageGC() *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "gc [--grace-period=DURATION]",
		Short: "Remove images that were not used for some time",
		Long: `Removes what was made of images and no pod uses, and the images that
were last used before the grace period and that no prepared or running pod is
made of.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if grace < 0 {
				return usage(cmd, fmt.Errorf("--grace-period=%v is negative", grace))
			}
			return p.imageGC(cmd, grace)
		},
	}
	cmd.Flags().DurationVar(&grace, "grace-period", 24*time.Hour, "how long images are kept that nobody uses")
	return cmd
}

func (p *program) imageGC(cmd *cobra.Command, grace time.Duration) error {
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	return p.withoutPreparations(cmd.Context(), func(pods *pod.Pods) error {
		needed, err := pods.Use()
		if err != nil {
			return fmt.Errorf("find out what pods use: %w", err)
		}
		use := store.Use{Rendered: needed.Rendered, Images: needed.Images}
		m := p.messages(cmd)
		err = images.CollectRendered(cmd.Context(), use, func(id string) { m.printf("removed treestore %q", id) })
		if err != nil {
			return err
		}
		unused, err := images.Unused(cmd.Context(), use, p.now().Add(-grace))
		if err != nil {
			return err
		}
		var ids []string
		for _, img := range unused {
			ids = append(ids, img.ID)
		}
		return p.removeImages(cmd, images, ids, 0)
	})
}

// withoutPreparations calls f while no pod is being prepared.
func (p *program) withoutPreparations(ctx context.Context, f func(*pod.Pods) error) error {
	pods, err := p.pods()
	if err != nil {
		return err
	}
	release, err := pods.LockCollecting(ctx)
	if err != nil {
		return fmt.Errorf("wait for pods that are being prepared: %w", err)
	}
	return errors.Join(f(pods), release())
}
