package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"rkt/internal/appc"
	"rkt/internal/cli/podmanifest"
	"rkt/internal/errhint"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
	"rkt/internal/seccomp"
	"rkt/internal/version"
)

// podContent is what is to be in a pod.
type podContent struct {
	apps     []podmanifest.App // in the order of the manifest's apps
	manifest *appc.PodManifest
	text     []byte // of the manifest
}

// podContent returns what is to be in the pod. An app that asks for what can't be
// done is refused before anything is made.
func (p *program) podContent(cmd *cobra.Command, r *run, images *store.Store, policy fetch.PullPolicy) (*podContent, error) {
	content, err := p.readContent(cmd.Context(), r, images, policy)
	if err != nil {
		return nil, err
	}
	for i, app := range content.manifest.Apps {
		section := app.App
		if section == nil {
			section = content.apps[i].Image.App
		}
		calls, err := section.Isolators.SystemCalls()
		if err == nil {
			_, err = seccomp.For(calls, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("app %q: filter of system calls: %w", app.Name, err)
		}
		if unknown := seccomp.Unknown(calls); len(unknown) > 0 {
			p.messages(cmd).printf("warning: app %q: there are no system calls %s: left out of its filter", app.Name, strings.Join(unknown, ", "))
		}
	}
	return content, nil
}

// readContent takes what the manifest says that was given, or the images and
// what was said about them.
func (p *program) readContent(ctx context.Context, r *run, images *store.Store, policy fetch.PullPolicy) (*podContent, error) {
	if r.manifest != "" {
		content, err := readPodContent(r.manifest, r.interactive, images)
		if err != nil {
			return nil, err
		}
		return content, r.network.check(len(content.manifest.Ports))
	}
	options, err := r.environment.read()
	if err != nil {
		return nil, err
	}
	apps, err := p.fetchApps(ctx, r.parser.Apps, p.fetcher(images, policy))
	if err != nil {
		return nil, err
	}
	options.Ports = r.ports
	options.Version, options.UID, options.GID = version.Version, os.Getuid(), os.Getgid()
	manifest, err := podmanifest.Build(apps, *options)
	if err != nil {
		return nil, detail(err)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	return &podContent{apps: apps, manifest: manifest, text: text}, nil
}

// readPodContent takes the manifest in a file as it is. The images that it names
// must be in the store.
func readPodContent(path string, interactive bool, images *store.Store) (*podContent, error) {
	text, err := readManifestFile(path)
	if err != nil {
		return nil, fmt.Errorf("pod manifest: %w", err)
	}
	manifest, err := appc.ParsePodManifest(text)
	if err == nil {
		err = checkPodManifest(manifest, interactive)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, detail(err))
	}
	content := &podContent{manifest: manifest, text: text}
	for _, app := range manifest.Apps {
		stored, err := images.Get(string(app.Image.ID))
		if err != nil {
			err = fmt.Errorf("error getting the image manifest from store: image %q: %w", app.Image.ID, err)
			return nil, fmt.Errorf("%s: app %q: %w", path, app.Name, detail(err))
		}
		if err := checkManifestApp(&app, stored); err != nil {
			return nil, fmt.Errorf("%s: app %q: %w", path, app.Name, detail(err))
		}
		content.apps = append(content.apps, podmanifest.App{ID: stored.ID, Image: stored.Manifest, ImageJSON: stored.ManifestJSON})
	}
	return content, nil
}

// readManifestFile reads a file of bounded size.
func readManifestFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, appc.MaxPodManifestSize+1))
}

// checkPodManifest refuses a pod that can't be run as it says.
func checkPodManifest(m *appc.PodManifest, interactive bool) error {
	switch {
	case len(m.Apps) == 0:
		return errors.New("pod must contain at least one application")
	case interactive && len(m.Apps) > 1:
		return errors.New("interactive option only supports one image")
	case len(m.Volumes) > 0:
		return errors.New("volumes: not supported yet")
	}
	for _, app := range m.Apps {
		if len(app.Mounts) > 0 {
			return fmt.Errorf("app %q: mounts: not supported yet", app.Name)
		}
	}
	return nil
}

// checkManifestApp checks what an app gets from its image.
func checkManifestApp(app *appc.RuntimeApp, stored *store.Image) error {
	if err := stored.Manifest.Labels.CheckPlatform(); err != nil {
		return fmt.Errorf("image %q: %w", stored.Manifest.Name, err)
	}
	section := app.App
	if section == nil {
		section = stored.Manifest.App
	}
	switch {
	case section == nil:
		return errhint.With(fmt.Errorf("neither the pod's manifest nor that of image %s has an app section", stored.ID),
			`add "app" to the pod's manifest`)
	case len(section.Exec) == 0:
		return fmt.Errorf(`image %q has an empty "exec"`, stored.Manifest.Name)
	}
	return nil
}
