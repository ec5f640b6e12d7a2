package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

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
}

// start makes the pod and becomes its supervisor. If that fails the pod is
// deleted; if this process is killed meanwhile, the collector does so.
func (p *program) start(cmd *cobra.Command, prep *preparation) error {
	made, err := prep.pods.Create()
	if err != nil {
		return fmt.Errorf("create pod: %w", err)
	}
	err = prep.prepare(cmd.Context(), made)
	if err == nil {
		err = p.become(cmd, made, prep)
	}
	if left := made.Discard(); left != nil {
		p.messages(cmd).err(detail(left))
	}
	return detail(err)
}

// prepare fills the pod's directory.
func (prep *preparation) prepare(ctx context.Context, made *pod.Pod) error {
	if file := prep.run.uuidFile; file != "" {
		if err := made.WriteUUIDFile(file); err != nil {
			return fmt.Errorf("save the pod's UUID: %w", err)
		}
	}
	release, err := prep.pods.LockPreparing(ctx)
	if err != nil {
		return fmt.Errorf("wait for the collector of images: %w", err)
	}
	if prep.stage1, err = prep.findStage1(ctx); err != nil {
		return errors.Join(err, release())
	}
	err = prep.fill(ctx, made)
	if err := errors.Join(err, release()); err != nil {
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
	if err := prep.run.network.write(made); err != nil {
		return err
	}
	if _, err := made.AllocateUID(); err != nil {
		return err
	}
	return made.WriteFile(stage1.PodManifestFile, prep.content.text)
}

// addApp writes what the stage1 is to know of an app.
func (prep *preparation) addApp(ctx context.Context, made *pod.Pod, name string, app podmanifest.App) error {
	fault.Point("prepare.disk.before")
	disk, err := prep.images.Disk(ctx, app.ID)
	if err != nil {
		return err
	}
	fault.Point("prepare.disk.after")
	text, err := json.Marshal(stage1.AppDisk{
		Path: disk.Path, Filesystem: disk.Filesystem, Size: disk.Size, SHA256: disk.SHA256, Checked: disk.Checked,
	})
	if err != nil {
		return err
	}
	return errors.Join(
		made.WriteFile(stage1.AppManifestFile(name), app.ImageJSON),
		made.WriteFile(filepath.Join("appsinfo", name, "treeStoreID"), []byte(disk.ID+"\n")),
		made.WriteFile(stage1.AppDiskFile(name), text),
	)
}

// become makes this process the supervisor of the pod. It returns only if that
// fails.
func (p *program) become(cmd *cobra.Command, made *pod.Pod, prep *preparation) error {
	entry, err := prep.stage1.EntryPoint(stage1.AnnotationRun)
	if err != nil {
		return err
	}
	if err := made.Start(); err != nil {
		return fmt.Errorf("start pod: %w", err)
	}
	lock, err := made.Enter()
	if err != nil {
		return fmt.Errorf("start pod: %w", err)
	}
	if err := context.Cause(cmd.Context()); err != nil {
		return err
	}
	if err := os.Setenv(stage1.LockFDEnv, strconv.Itoa(lock)); err != nil {
		return err
	}
	unmount, err := prep.showTrees()
	if err != nil {
		return fmt.Errorf("mount the apps: %w", err)
	}
	defer unmount()
	args := append([]string{entry.Name}, p.runArgs(cmd, made.UUID, prep)...)
	fault.Point("run.exec.before")
	err = syscall.Exec(entry.Program, args, os.Environ())
	return fmt.Errorf("execute %s: %w", entry.Program, err)
}

// showTrees mounts what a stage1 finds that doesn't mount the apps itself. The
// working directory is the pod's.
func (prep *preparation) showTrees() (unmount func(), err error) {
	if prep.stage1.AppFormat() != stage1.AppFormatTree {
		return func() {}, nil
	}
	tree, err := prep.images.OpenTree(prep.stage1.TreeID())
	if err != nil {
		return nil, err
	}
	var apps []string
	for _, app := range prep.content.manifest.Apps {
		apps = append(apps, string(app.Name))
	}
	return pod.ShowTrees(filepath.Join(tree.Path, "rootfs"), apps)
}

func (p *program) runArgs(cmd *cobra.Command, uuid string, prep *preparation) []string {
	insecure := &p.global.insecure
	args, unsupported := stage1.RunArgs{
		Debug:               p.global.debug,
		Net:                 prep.run.network.net.requests(),
		DNS:                 prep.run.network.mode(),
		Interactive:         prep.run.interactive,
		LocalConfig:         string(p.global.localConfig),
		Hostname:            prep.run.hostname,
		DisableCapabilities: insecure.has(insecureCapabilities),
		DisablePaths:        insecure.has(insecurePaths),
		DisableSeccomp:      insecure.has(insecureSeccomp),
		UUID:                uuid,
	}.Args(prep.stage1.Version)
	for _, option := range unsupported {
		p.messages(cmd).printf("warning: %s option is not supported by stage1", option)
	}
	return args
}
