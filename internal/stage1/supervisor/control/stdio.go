package control

import (
	"errors"
	"fmt"
	"os"

	"rkt/internal/errhint"
)

// ErrNotStarted is for programs that are asked for before the pod's apps run.
var ErrNotStarted = errhint.With(errors.New("the pod's apps are not started yet"), "`rkt status --wait-ready` waits for that")

// Stdio are the descriptors that came with an Exec. Stdin is nil if the program
// gets none, Stderr if it has a terminal.
type Stdio struct{ Stdin, Stdout, Stderr *os.File }

// TakeStdio tells the descriptors apart that came with a request, or closes them
// and fails.
func TakeStdio(request *Exec, files []*os.File) (*Stdio, error) {
	s := &Stdio{}
	wanted := []**os.File{&s.Stdout}
	if request.Stdin {
		wanted = append([]**os.File{&s.Stdin}, wanted...)
	}
	if request.Terminal == nil {
		wanted = append(wanted, &s.Stderr)
	}
	if len(wanted) != len(files) {
		closeFiles(files)
		return nil, fmt.Errorf("%d descriptors came with the request, not %d", len(files), len(wanted))
	}
	for i, to := range wanted {
		*to = files[i]
	}
	return s, nil
}

// Close closes what is still open.
func (s *Stdio) Close() {
	for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil {
			f.Close()
		}
	}
}
