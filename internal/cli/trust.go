package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image/fetch"
	"rkt/internal/image/trust"
)

type trustKeys struct {
	prefix            string
	root              bool
	skipReview        bool
	insecureAllowHTTP bool

	scope    string // in the words of the messages
	m        messages
	reviewer reviewer
}

func (p *program) newTrust() *cobra.Command {
	var t trustKeys
	cmd := &cobra.Command{
		Use:   "trust (--prefix=PREFIX | --root) [--skip-fingerprint-review] KEY…",
		Short: "Trust keys that images are signed with",
		Long: `Adds public keys to the keystore. With --prefix a key is trusted for the
images whose names are PREFIX or begin with PREFIX and a slash, with --root
for all images. KEY is a file, or an https URL, with one or more keys.`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.trust(cmd, &t, args) },
	}
	cmd.Flags().StringVar(&t.prefix, "prefix", "", "prefix of the names of the images that the keys are for")
	cmd.Flags().BoolVar(&t.root, "root", false, "trust the keys for all images")
	cmd.Flags().BoolVar(&t.skipReview, "skip-fingerprint-review", false, "accept the keys without asking")
	cmd.Flags().BoolVar(&t.insecureAllowHTTP, "insecure-allow-http", false, "allow keys from http URLs")
	return cmd
}

func (p *program) trust(cmd *cobra.Command, t *trustKeys, locations []string) error {
	if err := t.check(cmd, locations); err != nil {
		return err
	}
	t.m, t.reviewer = p.messagesOf("pubkey"), reviewer{p: p}
	t.scope = fmt.Sprintf("prefix %q", t.prefix)
	if t.root {
		t.scope = "all images"
	}
	fetcher := p.fetcher(nil, fetch.PullUpdate)
	fetcher.Insecure.HTTP = t.insecureAllowHTTP
	for _, location := range locations {
		if err := p.trustLocation(cmd.Context(), t, fetcher, location); err != nil {
			return err
		}
	}
	return nil
}

func (t *trustKeys) check(cmd *cobra.Command, locations []string) error {
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
	case len(locations) == 0:
		return errhint.With(errors.New("discovery of keys is not supported yet"), "name the file or URL of the key")
	}
	if t.prefix != "" {
		if _, err := appc.NewACIdentifier(t.prefix); err != nil {
			return fmt.Errorf("--prefix: %w", err)
		}
	}
	return nil
}

// trustLocation adds all keys of one file or URL.
func (p *program) trustLocation(ctx context.Context, t *trustKeys, fetcher *fetch.Fetcher, location string) error {
	data, err := fetcher.GetKeys(ctx, location)
	if err != nil {
		return fmt.Errorf("key %q: %w", location, detail(err))
	}
	keys, err := trust.ReadKeys(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("key %q: %w", location, detail(err))
	}
	reviewed := !t.skipReview && !(p.global.trustKeysFromHTTP && strings.HasPrefix(location, "https://"))
	for _, key := range keys {
		if !t.root {
			t.m.printf("prefix: %q\nkey: %q", t.prefix, location)
		} else {
			t.m.printf("key: %q", location)
		}
		fmt.Fprint(p.stdout, printable(key.Review()))
		how := "without"
		if reviewed {
			how = "after"
			accepted, err := t.reviewer.accept(ctx)
			if err != nil {
				return fmt.Errorf("error reviewing key: %w", err)
			}
			if !accepted {
				t.m.printf("not trusting %q", location)
				continue
			}
		}
		t.m.printf("Trusting %q for %s %s fingerprint review.", location, t.scope, how)
		if err := p.addKey(t, location, key); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) addKey(t *trustKeys, location string, key *trust.Key) error {
	var path string
	var err error
	if t.root {
		path, err = p.keys().AddRoot(key)
	} else {
		path, err = p.keys().AddPrefix(appc.ACIdentifier(t.prefix), key)
	}
	switch {
	case errors.Is(err, trust.ErrExists):
		t.m.printf("Key %q already in the keystore", location)
	case err != nil:
		return fmt.Errorf("store key %q: %w", location, err)
	case t.root:
		t.m.printf("Added root key at %q", path)
	default:
		t.m.printf("Added key for prefix %q at %q", t.prefix, path)
	}
	return nil
}

// reviewer asks whoever is at the terminal about keys.
type reviewer struct {
	p     *program
	lines chan string // what is typed
	ended chan error  // why nothing comes any more
}

// accept asks one question.
func (r *reviewer) accept(ctx context.Context) (bool, error) {
	if err := r.start(); err != nil {
		return false, err
	}
	fmt.Fprintln(r.p.stdout, "Are you sure you want to trust this key (yes/no)?")
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case err := <-r.ended:
			return false, err
		case line := <-r.lines:
			switch line {
			case "yes":
				return true, nil
			case "no":
				return false, nil
			}
			fmt.Fprintln(r.p.stdout, "Please enter 'yes' or 'no'")
		}
	}
}

// start begins to read the terminal, which goes on until the program ends:
// nothing else interrupts reading a terminal.
func (r *reviewer) start() error {
	stderr, ok := r.p.stderr.(*os.File)
	switch {
	case r.lines != nil:
		return nil
	case !ok, !term.IsTerminal(int(r.p.stdin.Fd())), !term.IsTerminal(int(stderr.Fd())):
		return errhint.With(errors.New("unable to ask user to review fingerprint due to lack of tty"),
			"compare the fingerprint with one from a source you trust, then use --skip-fingerprint-review")
	}
	r.lines, r.ended = make(chan string), make(chan error, 1)
	go func() {
		input := bufio.NewScanner(r.p.stdin)
		for input.Scan() {
			r.lines <- input.Text()
		}
		r.ended <- errors.Join(input.Err(), errors.New("no answer"))
	}()
	return nil
}
