package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/term"

	"rkt/internal/errhint"
)

// reviewer asks whoever is at the terminal about keys, one at a time.
type reviewer struct {
	asking sync.Mutex
	lines  chan string // what is typed
	ended  chan error  // why nothing comes any more
}

// accept asks about the key that was shown.
func (r *reviewer) accept(ctx context.Context, p *program) (bool, error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	if err := r.start(p); err != nil {
		return false, err
	}
	fmt.Fprintln(p.stdout, "Are you sure you want to trust this key (yes/no)?")
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case err := <-r.ended:
			r.ended <- err // for the next question
			return false, err
		case line := <-r.lines:
			switch line {
			case "yes":
				return true, nil
			case "no":
				return false, nil
			}
			fmt.Fprintln(p.stdout, "Please enter 'yes' or 'no'")
		}
	}
}

// start begins to read the terminal, which goes on until the program ends:
// nothing else interrupts reading a terminal.
func (r *reviewer) start(p *program) error {
	stderr, ok := p.stderr.(*os.File)
	switch {
	case r.lines != nil:
		return nil
	case !ok, !term.IsTerminal(int(p.stdin.Fd())), !term.IsTerminal(int(stderr.Fd())):
		return errhint.With(errors.New("unable to ask user to review fingerprint due to lack of tty"),
			"compare the fingerprint with one from a source you trust, then use --skip-fingerprint-review")
	}
	r.lines, r.ended = make(chan string), make(chan error, 1)
	go func() {
		input := bufio.NewScanner(p.stdin)
		for input.Scan() {
			r.lines <- input.Text()
		}
		r.ended <- errors.Join(input.Err(), errors.New("no answer"))
	}()
	return nil
}
