package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rkt/internal/appc"
	"rkt/internal/cli/appargs"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
	"rkt/internal/version"
)

// fetchedID is how much of an image's id fetch prints: 32 hex digits.
const fetchedID = len("sha512-") + 32

// pullFlags say when to fetch an image that the store has.
type pullFlags struct {
	policy             pullPolicy
	storeOnly, noStore bool
}

func (f *pullFlags) add(flags *pflag.FlagSet, policy fetch.PullPolicy) {
	f.policy = pullPolicy(policy)
	flags.Var(&f.policy, "pull-policy", "when to fetch an image that is in the store: new, never, update")
	flags.BoolVar(&f.storeOnly, "store-only", false, "the same as --pull-policy=never")
	flags.BoolVar(&f.noStore, "no-store", false, "the same as --pull-policy=update")
}

// effective returns the policy that the flags together mean.
func (f *pullFlags) effective() (fetch.PullPolicy, error) {
	switch {
	case f.storeOnly && f.noStore:
		return "", errors.New("both --store-only and --no-store specified")
	case f.storeOnly:
		return fetch.PullNever, nil
	case f.noStore:
		return fetch.PullUpdate, nil
	}
	return fetch.PullPolicy(f.policy), nil
}

type pullPolicy fetch.PullPolicy

func (p *pullPolicy) String() string { return string(*p) }
func (p *pullPolicy) Type() string   { return "string" }

func (p *pullPolicy) Set(value string) error {
	switch fetch.PullPolicy(value) {
	case fetch.PullNew, fetch.PullNever, fetch.PullUpdate:
		*p = pullPolicy(value)
		return nil
	}
	return errors.New("must be new, never or update")
}

func (p *program) newFetch() *cobra.Command {
	parser := &appargs.Parser{NoArgs: true}
	var pull pullFlags
	var full bool
	cmd := &cobra.Command{
		Use:   "fetch [--pull-policy=POLICY] [--full] IMAGE [--signature=FILE]…",
		Short: "Fetch images and store them",
		Long: `Finds images by their names, such as example.com/app:v1.0.0,os=linux, or
takes them from URLs and files, checks their signatures, and keeps them and all
that they depend on. If root does it, the images of apps are made ready to run.
Prints the id of each image.

Where an image with a name is, and which keys sign it, is asked from the pages
at https://NAME and above. What a server has said about how long an image stays
as it is, and what came of a download that was cut off, is used.`,
		DisableFlagParsing: true, // the flags after an image are about it
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := parseApps(cmd, parser, args); err != nil {
				return err
			}
			return p.fetch(cmd, parser.Apps, &pull, full)
		},
	}
	parser.AddSignatureFlag(cmd.Flags())
	pull.add(cmd.Flags(), fetch.PullUpdate)
	cmd.Flags().BoolVar(&full, "full", false, "print the whole image id")
	return cmd
}

// parseApps parses a command line with images and flags about them.
func parseApps(cmd *cobra.Command, parser *appargs.Parser, args []string) error {
	cmd.InheritedFlags() // merges the global flags into the command's own
	if err := parser.Parse(args, cmd.Flags()); err != nil {
		return usage(cmd, fmt.Errorf("error parsing app image arguments: %w", detail(err)))
	}
	if help, err := cmd.Flags().GetBool("help"); err != nil || help {
		return errors.Join(err, pflag.ErrHelp)
	}
	return nil
}

func (p *program) fetch(cmd *cobra.Command, apps []*appargs.App, pull *pullFlags, full bool) error {
	policy, err := pull.effective()
	if err != nil {
		return usage(cmd, err)
	}
	if len(apps) == 0 {
		return usage(cmd, errors.New("must provide at least one image"))
	}
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	for _, app := range apps {
		if appc.IsHash(app.Image) {
			return aboutImage(app.Image, errors.New("an image ID names what is in the store already"))
		}
	}
	ids, err := fetchAll(cmd.Context(), p.fetcher(images, policy), apps)
	if err != nil {
		return err
	}
	for _, id := range ids {
		p.renderFetched(cmd, images, id)
		if !full {
			id = id[:min(len(id), fetchedID)]
		}
		fmt.Fprintln(p.stdout, id)
	}
	return nil
}

// mayRender says whether who runs this may make disks of images.
func mayRender() bool { return os.Geteuid() == 0 }

// renderFetched makes the disk of an app's image that has just been fetched,
// unless it was made on the way, so that the first run need not. The image is
// there whatever comes of it.
func (p *program) renderFetched(cmd *cobra.Command, images *store.Store, id string) {
	if !mayRender() {
		return
	}
	found, err := images.Get(id)
	if err != nil || found.Manifest.App == nil {
		return // removed meanwhile, or for other images to build on
	}
	if _, err := images.Disk(cmd.Context(), id); err != nil && !errors.Is(err, store.ErrNotFound) {
		p.messages(cmd).printf("image %q is in the store, but cannot be run as it is: %v", found.Manifest.Name, detail(err))
	}
}

// fetchAll makes sure that all images, and what they depend on, are in the store
// and returns their ids.
func fetchAll(ctx context.Context, fetcher *fetch.Fetcher, apps []*appargs.App) ([]string, error) {
	wants := make([]fetch.Want, len(apps))
	for i, app := range apps {
		ref, err := parseImage(app.Image)
		if err != nil {
			return nil, aboutImage(app.Image, err)
		}
		wants[i] = fetch.Want{Reference: ref, Options: fetch.Options{SignaturePath: app.Signature, Render: mayRender()}}
	}
	ids, err := fetcher.FetchAll(ctx, wants)
	var about *fetch.ImageError
	if errors.As(err, &about) {
		return nil, aboutImage(about.Image, about.Err)
	}
	return ids, err
}

// fetcher returns one that obeys the global flags.
func (p *program) fetcher(images *store.Store, policy fetch.PullPolicy) *fetch.Fetcher {
	insecure := &p.global.insecure
	return &fetch.Fetcher{
		Store: images,
		Keys:  p.keys(),
		Insecure: fetch.Insecure{
			Image: insecure.has(insecureImage), TLS: insecure.has(insecureTLS), HTTP: insecure.has(insecureHTTP),
		},
		Policy:      policy,
		Version:     version.Version,
		Reporter:    p.progress(),
		Credentials: p.credentials(),
		KeyOffer:    p,
	}
}

func (p *program) keys() *trust.Keystore {
	return trust.Open(string(p.global.systemConfig), string(p.global.localConfig))
}
