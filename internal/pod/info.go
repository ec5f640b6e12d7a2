package pod

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rkt/internal/appc"
	"rkt/internal/stage1"
)

// Bounds of what is read of a pod. A stage1 writes some of these files.
const (
	maxNumberFile = 32
	maxWordFile   = 64
	maxNetInfo    = 1 << 20
)

// App is one app of a pod as its files describe it.
type App struct {
	Name  appc.ACName
	Image appc.RuntimeImage
	// Manifest is the image's, nil if the pod's copy can't be read.
	Manifest *appc.ImageManifest
	// UserAnnotations and UserLabels are the app's own.
	UserAnnotations, UserLabels map[string]string
	// ExitCode is nil until the app has ended.
	ExitCode *int
	// Finished is when it ended, zero until then.
	Finished time.Time
}

// Info is what can be read of a pod.
type Info struct {
	UUID    string
	State   State
	Created time.Time // zero if unknown
	Started time.Time // zero if the pod never started
	Pid     int       // 0 if there is none
	// Isolation names what the pod really has around it, empty if its stage1
	// has not said.
	Isolation string
	// Networks are what the pod is or was on.
	Networks []stage1.NetInfo
	// DiskCheck names what makes sure that the apps' disks are what was rendered,
	// empty if the stage1 has not said.
	DiskCheck string
	// Apps is empty as long as the pod's manifest is not written.
	Apps                        []App
	UserAnnotations, UserLabels map[string]string
}

// Info reads the pod's files. Those that are not there yet leave their fields
// empty. With an error other than ErrGone comes what could be read.
func (p *Pod) Info() (*Info, error) {
	state, err := p.State()
	if err != nil {
		return nil, err
	}
	info := &Info{UUID: p.UUID, State: state}
	if err := p.readInfo(info); err != nil {
		return info, fmt.Errorf("pod %q: %w", p.UUID, err)
	}
	return info, nil
}

func (p *Pod) readInfo(info *Info) (err error) {
	if info.Created, err = p.modTime(createdFile); err != nil {
		return err
	}
	if info.Started, err = p.modTime(stage1.PidFile); err != nil {
		return err
	}
	if info.Pid, err = p.readNumber(stage1.PidFile); err != nil {
		return err
	}
	if info.Isolation, err = p.readWord(stage1.IsolationFile); err != nil {
		return err
	}
	if info.Networks, err = p.readNetworks(); err != nil {
		return err
	}
	if info.DiskCheck, err = p.readWord(stage1.DiskCheckFile); err != nil {
		return err
	}
	return p.readApps(info)
}

// readNetworks returns what the stage1 says of the pod's networks, nothing
// before it has.
func (p *Pod) readNetworks() ([]stage1.NetInfo, error) {
	data, err := p.read(stage1.NetInfoFile, maxNetInfo)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var networks []stage1.NetInfo
	if err := json.Unmarshal(data, &networks); err != nil {
		return nil, fmt.Errorf("%s: %w", stage1.NetInfoFile, err)
	}
	return networks, nil
}

// readApps fills in what the manifests say.
func (p *Pod) readApps(info *Info) error {
	manifest, err := p.Manifest()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info.UserAnnotations, info.UserLabels = manifest.UserAnnotations, manifest.UserLabels
	for i := range manifest.Apps {
		app, err := p.readApp(&manifest.Apps[i])
		if err != nil {
			return err
		}
		info.Apps = append(info.Apps, app)
	}
	return nil
}

func (p *Pod) readApp(runtime *appc.RuntimeApp) (App, error) {
	app := App{Name: runtime.Name, Image: runtime.Image}
	if runtime.App != nil {
		app.UserAnnotations, app.UserLabels = runtime.App.UserAnnotations, runtime.App.UserLabels
	}
	data, err := p.read(stage1.AppManifestFile(string(app.Name)), appc.MaxImageManifestSize)
	if err == nil {
		app.Manifest, _ = appc.ParseImageManifest(data)
	}
	status := filepath.Join(stage1.StatusDir, string(app.Name))
	if app.Finished, err = p.modTime(status); err != nil || app.Finished.IsZero() {
		return app, err
	}
	code, err := p.readNumber(status)
	app.ExitCode = &code
	return app, err
}

// Manifest reads the pod manifest. The error is os.ErrNotExist until the pod is
// prepared.
func (p *Pod) Manifest() (*appc.PodManifest, error) {
	data, err := p.ManifestJSON()
	if err != nil {
		return nil, err
	}
	return appc.ParsePodManifest(data)
}

// ManifestJSON reads the pod manifest as it was written.
func (p *Pod) ManifestJSON() ([]byte, error) {
	return p.read(stage1.PodManifestFile, appc.MaxPodManifestSize)
}

func (p *Pod) read(name string, limit int64) ([]byte, error) {
	return readBounded(p.root.Open, name, limit)
}

// modTime returns when the file was last changed, zero if it isn't there.
func (p *Pod) modTime(name string) (time.Time, error) {
	info, err := p.root.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// readNumber returns the number in a file, 0 if it isn't there.
func (p *Pod) readNumber(name string) (int, error) {
	data, err := p.read(name, maxNumberFile)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(data)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: filepath.Join(p.Path(), name), Err: err}
	}
	return n, nil
}

// readWord returns the word in a file, "" if it isn't there.
func (p *Pod) readWord(name string) (string, error) {
	data, err := p.read(name, maxWordFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}
