package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
	"rkt/internal/image/store"
	"rkt/internal/pod"
)

func (p *program) newRunPrepared() *cobra.Command {
	r := newRunFlags()
	var uuidFile uuidFileFlag
	cmd := &cobra.Command{
		Use:   "run-prepared [flags] (--uuid-file=FILE | UUID)",
		Short: "Run a pod that was prepared",
		Long:  `Runs a pod that rkt prepare has made. The exit status is that of the app.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireRoot(); err != nil {
				return err
			}
			uuid, err := uuidFile.uuid(cmd, args)
			if err != nil {
				return err
			}
			return p.runPrepared(cmd, r, uuid)
		},
	}
	r.addStart(cmd.Flags())
	uuidFile.add(cmd)
	return cmd
}

// runPrepared becomes the supervisor of a prepared pod. A pod that could not be
// started for a reason that is not its own stays prepared.
func (p *program) runPrepared(cmd *cobra.Command, r *run, uuid string) error {
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	err = opened.Claim()
	if errors.Is(err, pod.ErrNotPrepared) {
		return fmt.Errorf("pod %q is not prepared", opened.UUID)
	}
	if err != nil {
		return detail(err)
	}
	manifest, err := opened.Manifest()
	if err != nil {
		return detail(err)
	}
	var names []string
	for _, app := range manifest.Apps {
		names = append(names, string(app.Name))
	}
	if err := r.checkStart(len(names), len(manifest.Ports)); err != nil {
		return usage(cmd, err)
	}
	if err := r.register.check(cmd.Context()); err != nil {
		return err
	}
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	if err := checkDisks(cmd.Context(), images, opened, names); err != nil {
		return err
	}
	chosen, err := opened.Stage1(p.stage1Program)
	if err == nil {
		err = chosen.Check()
	}
	if err != nil {
		return detail(prepareAgain(err))
	}
	_, err = p.launch(cmd, opened, &launch{run: r, stage1: chosen, images: images, apps: names})
	return detail(err)
}

// checkDisks makes sure that the apps' rendered images are still what they were
// when the pod was prepared.
func checkDisks(ctx context.Context, images *store.Store, opened *pod.Pod, apps []string) error {
	for _, app := range apps {
		id, err := opened.AppDiskID(app)
		var disk store.Disk
		if err == nil {
			disk, err = images.RenderedDisk(ctx, id)
		}
		if err == nil {
			err = opened.SetAppDisk(app, id, appDisk(disk))
		}
		if err != nil {
			return detail(prepareAgain(fmt.Errorf("the image of app %q, as it was prepared: %w", app, err)))
		}
	}
	return nil
}

func prepareAgain(err error) error {
	return errhint.With(err, "prepare the pod again")
}
