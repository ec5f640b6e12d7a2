package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rkt/internal/cli/appargs"
	"rkt/internal/cli/podmanifest"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// run is what the flags of the command say about the pod.
type run struct {
	parser      appargs.Parser
	pull        pullFlags
	stage1      stage1Choice
	network     networkFlags
	ports       portsFlag
	environment environmentFlags
	hostname    string
	uuidFile    string
	manifest    string // file with the whole manifest of the pod
	interactive bool
	isolation   isolationFlag
	register    registration
	detach      bool
	remove      bool
	disk        diskFlag
	noOverlay   bool
	users       privateUsers
	ipc         ipcFlag
}

func newRunFlags() *run {
	return &run{network: networkFlags{net: defaultNetworks(stage1.NetworkDefault)}}
}

func (p *program) newRun() *cobra.Command {
	r := newRunFlags()
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [image flags] [-- ARG… [---]] [IMAGE …]",
		Short: "Run one or more images in a pod",
		Long: `Fetches what is missing, makes a pod of the images and runs it. Flags after
an image that say "preceding image" are about that image, words between -- and
--- are appended to what it executes. The exit status is that of the app.`,
		DisableFlagParsing: true, // it depends on where a flag stands
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := parseApps(cmd, &r.parser, args); err != nil {
				return err
			}
			if err := requireRoot(); err != nil {
				return err
			}
			return p.run(cmd, r)
		},
	}
	r.addContent(cmd.Flags())
	r.addStart(cmd.Flags())
	cmd.Flags().StringVar(&r.uuidFile, "uuid-file-save", "", "write the pod's UUID to this file")
	return cmd
}

// addContent adds the flags that say what a pod is made of.
func (r *run) addContent(flags *pflag.FlagSet) {
	r.parser.AddFlags(flags)
	r.pull.add(flags, fetch.PullNew)
	r.stage1.add(flags)
	r.environment.add(flags)
	flags.Var(&r.ports, "port", portUsage)
	r.disk.add(flags)
	flags.StringVar(&r.manifest, "pod-manifest", "", "file with the whole manifest of the pod, in place of images and what is said about them")
	flags.BoolVar(&r.noOverlay, "no-overlay", false, "copy the images for the pod instead of putting overlays on them")
	r.users.add(flags)
	addUnsupported(flags, "mount", "stderr", "stdin", "stdout", "volume")
}

// addStart adds the flags that say how a pod is started.
func (r *run) addStart(flags *pflag.FlagSet) {
	r.isolation.add(flags)
	r.network.add(flags)
	flags.StringVar(&r.hostname, "hostname", "", "host name of the pod; rkt-UUID if empty")
	flags.BoolVar(&r.interactive, "interactive", false, "attach the terminal to the pod's only app")
	flags.BoolVar(&r.detach, "detach", false, "return when the apps run, and print the pod's UUID")
	flags.BoolVar(&r.remove, "rm", false, "remove the pod when it has ended")
	flags.BoolVar((*bool)(&r.register), "mds-register", false, "register the pod with the metadata service")
	flags.Var(&r.ipc, "ipc", "shared memory and the like: private (the pod's), parent (the host's), or auto (the stage1's choice)")
}

// maxHostname is how long Linux lets a host name be.
const maxHostname = 64

// errConflict is about flags that say what is in the manifest.
var errConflict = errors.New("conflicting flags set with --pod-manifest (see --help)")

func (r *run) check(policy fetch.PullPolicy) error {
	switch {
	case r.manifest != "" && (len(r.parser.Apps) > 0 || len(r.ports) > 0 || policy != fetch.PullNew || r.environment.given()):
		return errConflict
	case len(r.parser.Apps) == 0 && r.manifest == "":
		return errors.New("must provide at least one image or specify the pod manifest")
	}
	return r.checkStart(len(r.parser.Apps), len(r.ports))
}

// checkStart refuses what makes no sense for a pod of so many apps and ports.
func (r *run) checkStart(apps, ports int) error {
	switch {
	case r.interactive && apps > 1:
		return errors.New("interactive option only supports one image")
	case r.interactive && r.detach:
		return errors.New("--interactive and --detach are mutually exclusive")
	case bool(r.register) && !r.network.net.requests().HasNetwork():
		return fmt.Errorf("--mds-register does not work with '%s' networking: the pod has no address of its own", r.network.net.String())
	case len(r.hostname) > maxHostname || strings.ContainsFunc(r.hostname, notInHostname):
		return fmt.Errorf("--hostname %q: must be at most %d letters, digits, dashes and dots", r.hostname, maxHostname)
	}
	return r.network.check(ports)
}

func notInHostname(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.'
}

// run becomes the pod's supervisor, or fails and leaves no pod.
func (p *program) run(cmd *cobra.Command, r *run) error {
	return p.withPreparation(cmd, r, func(prep *preparation, made *pod.Pod) (keep bool, err error) {
		var apps []string
		for _, app := range prep.content.manifest.Apps {
			apps = append(apps, string(app.Name))
		}
		return p.launch(cmd, made, &launch{run: r, stage1: prep.stage1, images: prep.images, apps: apps})
	})
}

// withPreparation prepares a pod and does something with it. Unless that is to
// be kept, nothing is left of it. If this process is killed meanwhile, the
// collector sees to that.
func (p *program) withPreparation(cmd *cobra.Command, r *run, do func(*preparation, *pod.Pod) (keep bool, err error)) error {
	policy, err := r.pull.effective()
	if err == nil {
		err = r.check(policy)
	}
	if err != nil {
		return usage(cmd, err)
	}
	if err := r.users.check(); err != nil {
		return err
	}
	if err := r.register.check(cmd.Context()); err != nil {
		return err
	}
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	source, err := p.chooseStage1(cmd.Context(), &r.stage1, images)
	if err != nil {
		return err
	}
	defer source.close()
	pods, err := p.pods()
	if err != nil {
		return err
	}
	prep := &preparation{
		run: r, pods: pods, images: images,
		findStage1: func(ctx context.Context) (*pod.Stage1, error) { return p.stage1(ctx, source, images) },
	}
	prepare := func() error {
		if prep.content, err = p.podContent(cmd, r, images, policy); err != nil {
			return err
		}
		return detail(p.withPod(cmd, prep, do))
	}
	if err = prepare(); !errors.Is(err, errImageRemoved) {
		return err
	}
	// Once more, with nobody removing anything even while images are fetched.
	if err := prep.lock(cmd.Context()); err != nil {
		return err
	}
	defer func() { _ = prep.unlock() }() // unless the preparation has done it
	return prepare()
}

// errImageRemoved means that somebody has removed an image after it was fetched.
var errImageRemoved = errors.New("it was removed from the store before the pod was prepared")

// withPod makes and prepares a pod and does something with it, as withPreparation
// says.
func (p *program) withPod(cmd *cobra.Command, prep *preparation, do func(*preparation, *pod.Pod) (keep bool, err error)) error {
	made, err := prep.pods.Create()
	if err != nil {
		return fmt.Errorf("create pod: %w", err)
	}
	keep := false
	if err = prep.prepare(cmd.Context(), made); err == nil {
		if prep.run.disk.unsupportedBy(prep.stage1) {
			p.messages(cmd).printf("warning: --disk option is not supported by stage1")
		}
		keep, err = do(prep, made)
	}
	if !keep {
		if left := made.Discard(); left != nil {
			p.messages(cmd).err(detail(left))
		}
	}
	return err
}

// fetchApps makes sure that all images are in the store.
func (p *program) fetchApps(ctx context.Context, args []*appargs.App, fetcher *fetch.Fetcher) ([]podmanifest.App, error) {
	ids, err := fetchAll(ctx, fetcher, args)
	if err != nil {
		return nil, err
	}
	var apps []podmanifest.App
	for i, app := range args {
		stored, err := fetcher.Store.Get(ids[i])
		if errors.Is(err, store.ErrNotFound) {
			err = errImageRemoved
		}
		if err != nil {
			return nil, aboutImage(app.Image, err)
		}
		apps = append(apps, podmanifest.App{Args: app, ID: stored.ID, Image: stored.Manifest, ImageJSON: stored.ManifestJSON})
	}
	return apps, nil
}
