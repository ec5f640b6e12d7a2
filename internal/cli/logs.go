package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"rkt/internal/cli/podlogs"
	"rkt/internal/errhint"
	"rkt/internal/pod"
)

// logs is what the flags of the command say.
type logs struct {
	app      string
	follow   bool
	since    sinceFlag
	lines    int
	format   format
	times    bool
	uuidFile uuidFileFlag
}

func (p *program) newLogs() *cobra.Command {
	l := logs{lines: -1}
	cmd := &cobra.Command{
		Use:   "logs [--app=NAME] [--follow] [--since=WHEN] [--lines=N] (--uuid-file=FILE | UUID)",
		Short: "Print what the apps of a pod have written",
		Long: `Prints the output of a pod's apps, of running pods and of those that have
ended. With one app its lines are printed as they are, with several each line
begins with the app's name. What an app sends to syslog is among its lines.`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.logs(cmd, &l, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.app, "app", "", "only this app's")
	flags.BoolVarP(&l.follow, "follow", "f", false, "go on with what is written from now on, until the pod has ended")
	flags.Var(&l.since, "since", "only what is not older: a time like 2026-11-25T18:00:00Z or a duration like 10m")
	flags.IntVar(&l.lines, "lines", -1, "at most so many of the last lines; -1 for all")
	flags.BoolVar(&l.times, "timestamps", false, "begin each line with the time it was written at")
	l.format.add(flags)
	l.uuidFile.add(cmd)
	return cmd
}

func (p *program) logs(cmd *cobra.Command, l *logs, args []string) error {
	uuid, err := l.uuidFile.uuid(cmd, args)
	if err != nil {
		return err
	}
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	if l.follow {
		// Until then it may not be known which apps there are.
		err := opened.WaitReady(cmd.Context())
		if errors.Is(err, errInterrupted) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	apps, err := appNames(opened)
	if err != nil {
		return err
	}
	if l.app != "" {
		if apps, err = onlyApp(apps, l.app); err != nil {
			return err
		}
	}
	options := podlogs.Options{Lines: l.lines, Since: l.since.before(p.now())}
	reader, err := podlogs.Open(opened.Directory(), apps, options)
	if err != nil {
		return detail(err)
	}
	defer reader.Close()
	print := l.printer(p.stdout, len(apps) > 1)
	if !l.follow {
		return reader.Read(print)
	}
	return p.follow(cmd.Context(), opened, reader, print)
}

// follow prints lines until the pod has ended and nothing is left. To be
// interrupted is the usual end and no error.
func (p *program) follow(ctx context.Context, opened *pod.Pod, reader *podlogs.Reader, print podlogs.Print) error {
	// A pod that waits uses its lock, so it must be another one than that of
	// whoever else looks at it.
	twin, err := p.openPod(opened.UUID)
	if err != nil {
		return err
	}
	defer twin.Close()
	ended := make(chan error, 1)
	waitCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { ended <- twin.WaitFinished(waitCtx) }()
	err = reader.Follow(ctx, ended, print)
	if errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// appNames returns the names of a pod's apps in the order of its manifest.
func appNames(opened *pod.Pod) ([]string, error) {
	info, err := opened.Info()
	if err != nil {
		return nil, detail(err)
	}
	var names []string
	for _, app := range info.Apps {
		names = append(names, string(app.Name))
	}
	return names, nil
}

// onlyApp returns the app with the name alone.
func onlyApp(apps []string, name string) ([]string, error) {
	for _, app := range apps {
		if app == name {
			return []string{name}, nil
		}
	}
	err := fmt.Errorf("the pod has no app %q", name)
	if len(apps) == 0 {
		return nil, err
	}
	return nil, errhint.With(err, "its apps are "+strings.Join(apps, ", "))
}

// line is one line of output as programs see it.
type logLine struct {
	Time    time.Time `json:"time"`
	App     string    `json:"app"`
	Stream  string    `json:"stream"`
	Partial bool      `json:"partial,omitempty"`
	// Text is the line without its end. What is not UTF-8 in it is replaced;
	// then Bytes has it as it was, in base 64.
	Text  string `json:"text"`
	Bytes []byte `json:"bytes,omitempty"`
}

// printer returns what writes records to w.
func (l *logs) printer(w io.Writer, names bool) podlogs.Print {
	if l.format != formatText {
		return func(r podlogs.Record) error { return l.format.writeJSON(w, viewRecord(r)) }
	}
	// open is the output whose line was printed without its end.
	type output struct{ app, stream string }
	var open output
	return func(r podlogs.Record) error {
		var b []byte
		if this := (output{r.App, r.Stream}); open != this {
			if open.stream != "" {
				b = append(b, '\n')
			}
			b = l.appendPrefix(b, r, names)
			open = this
		}
		b = append(b, r.Text...)
		if !r.Partial {
			b = append(b, '\n')
			open = output{}
		}
		_, err := w.Write(b)
		return err
	}
}

// appendPrefix adds what a line begins with.
func (l *logs) appendPrefix(b []byte, r podlogs.Record, name bool) []byte {
	if l.times {
		b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z ")
	}
	if name {
		b = append(b, r.App+": "...)
	}
	return b
}

func viewRecord(r podlogs.Record) logLine {
	view := logLine{Time: r.Time, App: r.App, Stream: r.Stream, Partial: r.Partial, Text: string(r.Text)}
	if !utf8.Valid(r.Text) {
		view.Bytes = r.Text
	}
	return view
}

// sinceFlag is a moment, or how long ago it was.
type sinceFlag struct {
	at  time.Time
	ago time.Duration
	set string
}

func (f *sinceFlag) String() string { return f.set }
func (f *sinceFlag) Type() string   { return "time or duration" }

func (f *sinceFlag) Set(value string) error {
	f.set = value
	if ago, err := time.ParseDuration(value); err == nil && ago >= 0 {
		f.ago = ago
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, value, time.Local); err == nil {
			f.at = at
			return nil
		}
	}
	return fmt.Errorf("%q is neither a time such as 2026-11-25T18:00:00Z nor a duration such as 10m", value)
}

// before returns the moment, which is zero if none was given.
func (f *sinceFlag) before(now time.Time) time.Time {
	if f.ago > 0 || f.set != "" && f.at.IsZero() {
		return now.Add(-f.ago)
	}
	return f.at
}
