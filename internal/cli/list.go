package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/appc"
	"rkt/internal/pod"
)

// Lengths of what tables show of a UUID and of an image id.
const (
	shortUUID    = 8
	shortImageID = len("sha512-") + 12
)

type list struct {
	noLegend, full bool
	format         format
}

func (p *program) newList() *cobra.Command {
	var l list
	cmd := &cobra.Command{
		Use:   "list [--full] [--no-legend] [--format=json]",
		Short: "List pods",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.list(cmd, &l) },
	}
	cmd.Flags().BoolVar(&l.noLegend, "no-legend", false, "suppress the header of the table")
	cmd.Flags().BoolVar(&l.full, "full", false, "use long output: whole UUIDs, image ids, exact times and the isolation")
	l.format.add(cmd.Flags())
	return cmd
}

func (p *program) list(cmd *cobra.Command, l *list) error {
	var infos []*pod.Info
	var errs []error
	pods, err := p.pods()
	if err != nil {
		return err
	}
	for opened, err := range pods.All() {
		var info *pod.Info
		if err == nil {
			info, err = opened.Info()
			_ = opened.Close()
		}
		switch {
		case errors.Is(err, pod.ErrGone):
			continue
		case err != nil:
			errs = append(errs, err)
		}
		if info != nil {
			infos = append(infos, info)
		}
	}
	if l.format == formatText {
		err = l.table(p.stdout, infos, p.now())
	} else {
		views := []podView{}
		for _, info := range infos {
			views = append(views, viewPod(info))
		}
		err = l.format.writeJSON(p.stdout, views)
	}
	p.listErrors(cmd, errs)
	return err
}

// table prints one row for each app.
func (l *list) table(w io.Writer, infos []*pod.Info, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, '\t', 0)
	header := []string{"UUID", "APP", "IMAGE NAME", "STATE", "CREATED", "STARTED", "NETWORKS"}
	if l.full {
		header = []string{"UUID", "APP", "IMAGE NAME", "IMAGE ID", "STATE", "CREATED", "STARTED", "NETWORKS", "ISOLATION"}
	}
	if !l.noLegend {
		fmt.Fprintln(t, strings.Join(header, "\t"))
	}
	for _, info := range infos {
		for _, row := range l.rows(info, now) {
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
	}
	return t.Flush()
}

func (l *list) rows(info *pod.Info, now time.Time) [][]string {
	uuid := info.UUID
	if !l.full {
		uuid = uuid[:shortUUID]
	}
	about := []string{
		string(info.State), formatTime(info.Created, now, l.full), formatTime(info.Started, now, l.full), listNetworks(info.Networks),
	}
	if l.full {
		about = append(about, info.Isolation)
	}
	if len(info.Apps) == 0 {
		return [][]string{l.row(uuid, "-", "-", "-", about)}
	}
	var rows [][]string
	for _, app := range info.Apps {
		id := string(app.Image.ID)
		rows = append(rows, l.row(uuid, string(app.Name), imageName(app.Manifest), id[:min(len(id), shortImageID)], about))
		uuid, about = "", make([]string, len(about))
	}
	return rows
}

func (l *list) row(uuid, app, image, id string, about []string) []string {
	row := []string{uuid, app, image}
	if l.full {
		row = append(row, id)
	}
	return append(row, about...)
}

// imageName writes an image's name with its version.
func imageName(m *appc.ImageManifest) string {
	if m == nil {
		return "--"
	}
	if version, ok := m.Labels.Get("version"); ok {
		return string(m.Name) + ":" + version
	}
	return string(m.Name)
}

// listErrors reports pods that could not be read, after all the others.
func (p *program) listErrors(cmd *cobra.Command, errs []error) {
	if len(errs) == 0 {
		return
	}
	separator := strings.Repeat("-", 40)
	fmt.Fprintf(p.stderr, "%d error(s) encountered when listing pods:\n%s\n", len(errs), separator)
	for _, err := range errs {
		p.messages(cmd).err(detail(err))
		fmt.Fprintln(p.stderr, separator)
	}
	fmt.Fprintf(p.stderr, "misc:\n  appc version: %s\n", appc.SpecVersion)
}
