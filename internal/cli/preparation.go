package cli

import (
	"context"
	"errors"
	"fmt"

	"rkt/internal/cli/podmanifest"
	"rkt/internal/fault"
	"rkt/internal/image/store"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// preparation is all that a pod is made of.
type preparation struct {
	run     *run
	pods    *pod.Pods
	images  *store.Store
	stage1  *pod.Stage1
	content *podContent
	// findStage1 is called when the collector of images can't take it away any
	// more, and sets stage1.
	findStage1 func(context.Context) (*pod.Stage1, error)
	// release lets the collector go on, nil if it doesn't wait for this one.
	release func() error
}

// lock keeps the collector of images from removing any. It does nothing if it has
// done so already.
func (prep *preparation) lock(ctx context.Context) (err error) {
	if prep.release != nil {
		return nil
	}
	if prep.release, err = prep.pods.LockPreparing(ctx); err != nil {
		return fmt.Errorf("wait for the collector of images: %w", err)
	}
	return nil
}

// unlock undoes lock.
func (prep *preparation) unlock() error {
	if prep.release == nil {
		return nil
	}
	release := prep.release
	prep.release = nil
	return release()
}

// prepare fills the pod's directory.
func (prep *preparation) prepare(ctx context.Context, made *pod.Pod) error {
	if file := prep.run.uuidFile; file != "" {
		if err := made.WriteUUIDFile(file); err != nil {
			return fmt.Errorf("save the pod's UUID: %w", err)
		}
	}
	if err := prep.lock(ctx); err != nil {
		return err
	}
	var err error
	if prep.stage1, err = prep.findStage1(ctx); err != nil {
		return errors.Join(err, prep.unlock())
	}
	if err = prep.run.users.checkStage1(prep.stage1); err == nil {
		err = prep.fill(ctx, made)
	}
	if err := errors.Join(err, prep.unlock()); err != nil {
		return fmt.Errorf("prepare pod: %w", err)
	}
	return nil
}

func (prep *preparation) fill(ctx context.Context, made *pod.Pod) error {
	if err := made.SetStage1(prep.stage1); err != nil {
		return err
	}
	for _, dir := range []string{stage1.StatusDir, stage1.EnvDir} {
		if err := made.MkdirAll(dir); err != nil {
			return err
		}
	}
	for i, app := range prep.content.apps {
		if err := prep.addApp(ctx, made, string(prep.content.manifest.Apps[i].Name), app); err != nil {
			return fmt.Errorf("image %q: %w", app.Image.Name, err)
		}
	}
	if _, err := made.AllocateUID(); err != nil {
		return err
	}
	if err := prep.writeChoices(made); err != nil {
		return err
	}
	return made.WriteFile(stage1.PodManifestFile, prep.content.text)
}

// writeChoices writes what the user has said of the pod as a whole.
func (prep *preparation) writeChoices(made *pod.Pod) error {
	if size := stage1.DiskSize(prep.run.disk); size != 0 {
		if err := made.WriteFile(stage1.DiskSizeFile, size.File()); err != nil {
			return err
		}
	}
	if !prep.run.noOverlay {
		if err := made.WriteFile(stage1.OverlayFile, nil); err != nil {
			return err
		}
	}
	if !prep.run.users {
		return nil
	}
	return made.WantPrivateUsers()
}

// addApp writes what the stage1 is to know of an app.
func (prep *preparation) addApp(ctx context.Context, made *pod.Pod, name string, app podmanifest.App) error {
	fault.Point("prepare.disk.before")
	disk, err := prep.images.Disk(ctx, app.ID)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", errImageRemoved, err)
	}
	if err != nil {
		return err
	}
	fault.Point("prepare.disk.after")
	return errors.Join(
		made.WriteFile(stage1.AppManifestFile(name), app.ImageJSON),
		made.SetAppDisk(name, disk.ID, appDisk(disk)))
}

// appDisk is what a stage1 is told of a disk.
func appDisk(d store.Disk) stage1.AppDisk {
	return stage1.AppDisk{
		Path: d.Path, Filesystem: d.Filesystem, Size: d.Size, SHA256: d.SHA256, Checked: d.Checked,
		Verity: &stage1.Verity{RootHash: d.Seal.RootHash, Salt: d.Seal.Salt, DataSize: d.Seal.DataSize},
	}
}
