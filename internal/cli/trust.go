package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rkt/internal/appc"
	"rkt/internal/errhint"
)

// trustFlags are what the command was told.
type trustFlags struct {
	prefix            string
	root              bool
	skipReview        bool
	insecureAllowHTTP bool
}

func (p *program) newTrust() *cobra.Command {
	var t trustFlags
	cmd := &cobra.Command{
		Use:   "trust (--prefix=PREFIX | --root) [--skip-fingerprint-review] [KEY…]",
		Short: "Trust keys that images are signed with",
		Long: `Adds public keys to the keystore. With --prefix a key is trusted for the
images whose names are PREFIX or begin with PREFIX and a slash, with --root
for all images. KEY is a file, or an https URL, with one or more keys. If none
is given the keys for PREFIX are looked for where its owner says they are, by
the ac-discovery-pubkeys tags of the pages at https://PREFIX and above.

You are shown each key and asked about it, on a terminal. Compare the
fingerprint with one from a source that you trust.`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.trust(cmd, &t, args) },
	}
	cmd.Flags().StringVar(&t.prefix, "prefix", "", "prefix of the names of the images that the keys are for")
	cmd.Flags().BoolVar(&t.root, "root", false, "trust the keys for all images")
	cmd.Flags().BoolVar(&t.skipReview, "skip-fingerprint-review", false, "accept the keys without asking")
	cmd.Flags().BoolVar(&t.insecureAllowHTTP, "insecure-allow-http", false, "allow keys from http URLs")
	return cmd
}

func (p *program) trust(cmd *cobra.Command, t *trustFlags, locations []string) error {
	if err := t.check(cmd, locations); err != nil {
		return err
	}
	offer := p.newKeyOffer(appc.ACIdentifier(t.prefix))
	offer.skipReview, offer.allowHTTP = t.skipReview, t.insecureAllowHTTP
	if len(locations) == 0 {
		return offer.discovered(cmd.Context())
	}
	return offer.locations(cmd.Context(), locations)
}

func (t *trustFlags) check(cmd *cobra.Command, locations []string) error {
	switch {
	case t.root && t.prefix != "":
		return usage(cmd, errors.New("--root and --prefix usage mutually exclusive"))
	case !t.root && t.prefix == "" && len(locations) > 0:
		return errhint.With(errors.New("aborting due to implicit unbounded trust (root domain)"),
			"use --prefix=PREFIX to trust the keys for some images, or --root to trust them for all")
	case !t.root && t.prefix == "":
		return usage(cmd, errors.New("must provide a key and what it is trusted for"))
	case strings.Contains(t.prefix, "://"):
		return errors.New("--prefix must not contain a URL scheme, omit https://")
	case t.root && len(locations) == 0:
		return errhint.With(errors.New("must provide a key to trust for all images"), "name its file or URL")
	}
	if t.prefix != "" {
		if _, err := appc.NewACIdentifier(t.prefix); err != nil {
			return fmt.Errorf("--prefix: %w", err)
		}
	}
	return nil
}
