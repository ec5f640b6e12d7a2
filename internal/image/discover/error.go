package discover

import (
	"fmt"
	"strings"
)

// Error says what came of each page that was asked for. It is ErrNotFound, and
// each of the reasons as well.
type Error struct {
	Name     string
	Attempts []Attempt
}

// Attempt is a page that was asked for in vain.
type Attempt struct {
	Page string
	Err  error
}

func (e *Error) add(page string, err error) { e.Attempts = append(e.Attempts, Attempt{page, err}) }

// Error names all pages, on one line.
func (e *Error) Error() string {
	texts := make([]string, len(e.Attempts))
	for i, a := range e.Attempts {
		texts[i] = a.Page + ": " + a.Err.Error()
	}
	return fmt.Sprintf("discovery failed for %q: %s", e.Name, strings.Join(texts, "; "))
}

// Unwrap returns ErrNotFound and the reasons.
func (e *Error) Unwrap() []error {
	errs := []error{ErrNotFound}
	for _, a := range e.Attempts {
		errs = append(errs, a.Err)
	}
	return errs
}
