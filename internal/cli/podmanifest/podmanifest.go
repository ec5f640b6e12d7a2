// Package podmanifest makes the manifest of a pod out of the images it is to
// run and what the command line says about them. It does no input or output.
package podmanifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"rkt/internal/appc"
	"rkt/internal/cli/appargs"
	"rkt/internal/errhint"
)

// AnnotationMutable says whether apps may be added to and removed from the pod.
const AnnotationMutable = "coreos.com/rkt/stage1/mutable"

// App is one app of the pod to be.
type App struct {
	Args  *appargs.App
	ID    string // of the image
	Image *appc.ImageManifest
	// ImageJSON is the image's manifest as it was stored.
	ImageJSON []byte
}

// Options are what holds for all apps.
type Options struct {
	// Version is rkt's own. It goes into the manifest.
	Version string
	// UID and GID are the caller's, for images that don't say who runs them.
	UID, GID int
	// Inherited variables are set where nothing else sets them, FileVariables
	// and then Variables override what images and the apps' flags set.
	Inherited, FileVariables, Variables []appargs.Pair
	// Ports of the host lead to the pod's.
	Ports []ExposedPort
}

// Build returns the manifest of a pod with the given apps. It is valid.
func Build(apps []App, o Options) (*appc.PodManifest, error) {
	manifest := &appc.PodManifest{
		ACVersion:   o.Version,
		ACKind:      appc.PodManifestKind,
		Annotations: appc.Annotations{{Name: AnnotationMutable, Value: "false"}},
	}
	for _, app := range apps {
		runtime, err := app.build(o)
		if err != nil {
			return nil, err
		}
		if manifest.Get(runtime.Name) != nil {
			return nil, errhint.With(fmt.Errorf("error: multiple apps with name %s", runtime.Name),
				"give one of them another name with --name=NAME after its image")
		}
		manifest.Apps = append(manifest.Apps, *runtime)
	}
	if err := expose(manifest, o.Ports); err != nil {
		return nil, err
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("pod manifest: %w", err)
	}
	return appc.ParsePodManifest(text)
}

func (a App) build(o Options) (*appc.RuntimeApp, error) {
	if err := a.Image.Labels.CheckPlatform(); err != nil {
		return nil, fmt.Errorf("image %q: %w", a.Image.Name, err)
	}
	name, err := a.name()
	if err != nil {
		return nil, err
	}
	app, err := a.section(o)
	if err != nil {
		return nil, err
	}
	if err := a.override(app); err != nil {
		return nil, fmt.Errorf("app %q: %w", name, err)
	}
	a.environment(app, o)
	imageName := a.Image.Name
	runtime := &appc.RuntimeApp{
		Name:           name,
		Image:          appc.RuntimeImage{Name: &imageName, ID: appc.Hash(a.ID), Labels: a.Image.Labels},
		App:            app,
		ReadOnlyRootFS: a.Args.ReadOnlyRootFS,
	}
	for _, pair := range a.Args.Annotations {
		runtime.Annotations.Set(appc.ACIdentifier(pair.Name), pair.Value)
	}
	return runtime, nil
}

func (a App) name() (appc.ACName, error) {
	if a.Args.Name != "" {
		return appc.NewACName(a.Args.Name)
	}
	return appc.SanitizeACName(path.Base(string(a.Image.Name)))
}

// section returns a copy of the image's app section to change, or the least
// that makes one.
func (a App) section(o Options) (*appc.App, error) {
	if a.Image.App == nil {
		if a.Args.Exec == "" {
			return nil, fmt.Errorf("error: image %s has no app section and --exec argument is not provided", a.ID)
		}
		return &appc.App{User: strconv.Itoa(o.UID), Group: strconv.Itoa(o.GID)}, nil
	}
	if len(a.Image.App.Exec) == 0 && a.Args.Exec == "" {
		return nil, fmt.Errorf(`image %q has an empty "exec" (try --exec=BINARY)`, a.Image.Name)
	}
	app := *a.Image.App
	app.Exec = slices.Clone(app.Exec)
	app.Environment = slices.Clone(app.Environment)
	app.Isolators = slices.Clone(app.Isolators)
	return &app, nil
}

// override applies the flags after the image to its app section.
func (a App) override(app *appc.App) error {
	if a.Args.Exec != "" {
		app.Exec = []string{a.Args.Exec}
	}
	app.Exec = append(app.Exec, a.Args.Args...)
	app.User = cmp.Or(a.Args.User, app.User)
	app.Group = cmp.Or(a.Args.Group, app.Group)
	app.WorkingDirectory = cmp.Or(a.Args.WorkingDir, app.WorkingDirectory)
	if a.Args.SupplementaryGIDs != nil {
		app.SupplementaryGIDs = a.Args.SupplementaryGIDs
	}
	app.UserAnnotations = merge(app.UserAnnotations, a.Args.UserAnnotations)
	app.UserLabels = merge(app.UserLabels, a.Args.UserLabels)
	return a.isolators(app)
}

// merge returns a copy of what the image says with what the flags say on top.
func merge(image map[string]string, flags []appargs.Pair) map[string]string {
	if len(flags) == 0 {
		return image
	}
	merged := make(map[string]string, len(image)+len(flags))
	maps.Copy(merged, image)
	for _, pair := range flags {
		merged[pair.Name] = pair.Value
	}
	return merged
}

// isolators appends those of the flags: the last of a kind counts.
func (a App) isolators(app *appc.App) error {
	if a.Args.Memory != nil {
		app.Isolators = append(app.Isolators, appc.MemoryIsolator(*a.Args.Memory))
	}
	if a.Args.CPU != nil {
		app.Isolators = append(app.Isolators, appc.CPUIsolator(*a.Args.CPU))
	}
	type set struct {
		Set []string `json:"set"`
	}
	if a.Args.CapsRetain != nil || a.Args.CapsRemove != nil {
		// Both kinds count together, so the image's own would get in the way.
		app.Isolators = slices.DeleteFunc(app.Isolators, func(i appc.Isolator) bool {
			return i.Name == appc.IsolatorCapsRetain || i.Name == appc.IsolatorCapsRemove
		})
	}
	if a.Args.Seccomp != nil {
		// There may be only one.
		app.Isolators = slices.DeleteFunc(app.Isolators, func(i appc.Isolator) bool {
			return i.Name == appc.IsolatorSeccompRetain || i.Name == appc.IsolatorSeccompRemove
		})
		app.Isolators = append(app.Isolators, a.Args.Seccomp.Isolator())
	}
	var errs []error
	add := func(given bool, name appc.ACIdentifier, value any) {
		if given {
			text, err := json.Marshal(value)
			errs = append(errs, err)
			app.Isolators = append(app.Isolators, appc.Isolator{Name: name, Value: text})
		}
	}
	add(a.Args.CapsRetain != nil, appc.IsolatorCapsRetain, set{a.Args.CapsRetain})
	add(a.Args.CapsRemove != nil, appc.IsolatorCapsRemove, set{a.Args.CapsRemove})
	add(a.Args.CPUShares != nil, appc.IsolatorCPUShares, a.Args.CPUShares)
	add(a.Args.OOMScoreAdj != nil, appc.IsolatorOOMScoreAdj, a.Args.OOMScoreAdj)
	return errors.Join(errs...)
}

// environment puts the app's variables together. What is missing after that,
// such as PATH, the stage1 sets.
func (a App) environment(app *appc.App, o Options) {
	for _, pair := range a.Args.Environment {
		app.Environment.Set(pair.Name, pair.Value)
	}
	for _, pair := range o.Inherited {
		if _, ok := app.Environment.Get(pair.Name); !ok {
			app.Environment.Set(pair.Name, pair.Value)
		}
	}
	for _, pair := range slices.Concat(o.FileVariables, o.Variables) {
		app.Environment.Set(pair.Name, pair.Value)
	}
}
