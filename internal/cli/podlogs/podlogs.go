// Package podlogs reads the logs of several apps of a pod as one, in the order
// of time, also while they are being written.
package podlogs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/applog"
)

// Record is one line of an app, or a part of one.
type Record struct {
	applog.Record
	App string
}

// Print does something with a record, whose text is valid until it returns.
type Print func(Record) error

// Options choose what is read.
type Options struct {
	// Lines is how many of the last lines are wanted of what is there already;
	// a negative number is all.
	Lines int
	// Since leaves out what is older.
	Since time.Time
}

// Reader reads the logs.
type Reader struct {
	dir     string
	opts    Options
	sources []*source
	watch   *linux.Watch
}

// source is the log of one app.
type source struct {
	app    string
	reader *applog.Reader
	next   *Record // read, but not printed
}

// Open returns a reader of some apps' logs. Dir is a path of the pod's
// directory that stays right when that is renamed.
func Open(dir string, apps []string, opts Options) (*Reader, error) {
	watch, err := linux.NewWatch()
	if err != nil {
		return nil, err
	}
	r := &Reader{dir: dir, opts: opts, watch: watch}
	for _, app := range apps {
		log := applog.NewReader(filepath.Join(dir, stage1.LogDir(app)))
		r.sources = append(r.sources, &source{app: app, reader: log})
	}
	return r, nil
}

// Close lets go of all files.
func (r *Reader) Close() error {
	errs := []error{r.watch.Close()}
	for _, s := range r.sources {
		errs = append(errs, s.reader.Close())
	}
	return errors.Join(errs...)
}

// Read prints what is there.
func (r *Reader) Read(print Print) error {
	if r.opts.Lines < 0 {
		return r.drain(print)
	}
	last := tail{most: r.opts.Lines}
	if err := r.drain(last.add); err != nil {
		return err
	}
	for _, record := range last.kept {
		if err := print(record); err != nil {
			return err
		}
	}
	return nil
}

// Follow prints what is there and what comes, until ended has a value and
// nothing is left, or ctx is done, which is an error with its cause.
func (r *Reader) Follow(ctx context.Context, ended <-chan error, print Print) error {
	// Before the first look: what is written after it wakes us.
	if err := r.watchAll(); err != nil {
		return err
	}
	if err := r.Read(print); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-ended:
			cancel(finished{err})
		case <-ctx.Done():
		}
	}()
	for {
		waitErr := r.watch.Wait(ctx)
		var end finished
		if waitErr != nil && !errors.As(waitErr, &end) {
			return waitErr
		}
		if err := r.watchAll(); err != nil {
			return err
		}
		if err := r.drain(print); err != nil {
			return err
		}
		if waitErr != nil {
			return end.err
		}
	}
}

// finished says that the pod has ended, or why that could not be waited for.
type finished struct{ err error }

func (finished) Error() string { return "the pod has finished" }

// watchAll watches every directory on the way to the logs, as far as they are
// there.
func (r *Reader) watchAll() error {
	dirs := []string{r.dir}
	for _, s := range r.sources {
		log := filepath.Join(r.dir, stage1.LogDir(s.app))
		dirs = append(dirs, filepath.Dir(log), log)
	}
	for _, dir := range dirs {
		if err := r.watch.AddContents(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// drain hands over what is there, oldest first.
func (r *Reader) drain(print Print) error {
	for {
		oldest, err := r.oldest()
		if oldest == nil || err != nil {
			return err
		}
		record := *oldest.next
		oldest.next = nil
		if record.Time.Before(r.opts.Since) {
			continue
		}
		if err := print(record); err != nil {
			return err
		}
	}
}

// oldest returns the app whose next record is the oldest, nil if none has any.
func (r *Reader) oldest() (*source, error) {
	var oldest *source
	for _, s := range r.sources {
		if err := s.fill(); err != nil {
			return nil, err
		}
		if s.next != nil && (oldest == nil || s.next.Time.Before(oldest.next.Time)) {
			oldest = s
		}
	}
	return oldest, nil
}

func (s *source) fill() error {
	if s.next != nil {
		return nil
	}
	record, err := s.reader.Next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	s.next = &Record{record, s.app}
	return nil
}

// tail keeps the last lines.
type tail struct {
	most, lines int
	kept        []Record
}

func (t *tail) add(r Record) error {
	if t.most == 0 {
		return nil
	}
	// A part that nothing follows counts as a line, too.
	if n := len(t.kept); n == 0 || !t.kept[n-1].Partial {
		t.lines++
	}
	r.Text = bytes.Clone(r.Text)
	t.kept = append(t.kept, r)
	for t.lines > t.most {
		if !t.kept[0].Partial {
			t.lines--
		}
		t.kept = t.kept[1:]
	}
	return nil
}
