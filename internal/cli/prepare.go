package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/pod"
)

func (p *program) newPrepare() *cobra.Command {
	r := newRunFlags()
	var quiet bool
	cmd := &cobra.Command{
		Use:   "prepare [flags] IMAGE [image flags] [-- ARG… [---]] [IMAGE …]",
		Short: "Prepare to run images in a pod, but do not run them",
		Long: `Fetches what is missing, makes a pod of the images, and prints its UUID.
rkt run-prepared runs it.`,
		DisableFlagParsing: true, // it depends on where a flag stands
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := parseApps(cmd, &r.parser, args); err != nil {
				return err
			}
			if err := requireRoot(); err != nil {
				return err
			}
			return p.prepare(cmd, r, quiet)
		},
	}
	r.addContent(cmd.Flags())
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print nothing but the UUID, whatever happens on the way")
	return cmd
}

// prepare makes a pod that waits to be run, or fails and leaves none.
func (p *program) prepare(cmd *cobra.Command, r *run, quiet bool) error {
	if quiet {
		stderr := p.stderr
		defer func() { p.stderr = stderr }()
		p.stderr = discard{}
	}
	uuid := ""
	err := p.withPreparation(cmd, r, func(_ *preparation, made *pod.Pod) (keep bool, err error) {
		uuid = made.UUID
		err = made.Park()
		return err == nil, err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, uuid)
	return err
}

// discard swallows what is written.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
