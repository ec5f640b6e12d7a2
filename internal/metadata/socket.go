package metadata

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rkt/internal/errhint"
)

// DefaultPort is the service's, unless it was told otherwise. Source: rkt 1.30.
const DefaultPort = 18112

// MaxLine bounds what the service and those who ask at its socket say, a line
// each. Questions are the UUID of a pod whose registration the service has to
// see, or nothing. Answers are Serving and a port, or Failing and why.
const (
	MaxLine = 4096
	Serving = "serving "
	Failing = "error "
)

// patience bounds a question.
const patience = 30 * time.Second

// Socket is where the service is told of new registrations. Source of the name:
// rkt 1.30.
func (d Directory) Socket() string { return filepath.Join(string(d), "metadata-svc.sock") }

// Ask returns the port of the service once it serves the pod with the given UUID,
// or at once if that is empty.
func (d Directory) Ask(ctx context.Context, pod string) (port uint16, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", d.Socket())
	if err != nil {
		return 0, unreachable(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := fmt.Fprintln(conn, pod); err != nil {
		return 0, unreachable(err)
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, MaxLine)).ReadString('\n')
	if err != nil {
		return 0, unreachable(err)
	}
	answer = strings.TrimSuffix(answer, "\n")
	if why, failed := strings.CutPrefix(answer, Failing); failed {
		return 0, fmt.Errorf("metadata service: %s", why)
	}
	text, ok := strings.CutPrefix(answer, Serving)
	number, err := strconv.ParseUint(text, 10, 16)
	if !ok || err != nil || number == 0 {
		return 0, errors.New("the metadata service's answer makes no sense")
	}
	return uint16(number), nil
}

// unreachable begins as in rkt 1.30.
func unreachable(err error) error {
	return errhint.With(fmt.Errorf("could not reach the metadata service. %w", err),
		"start it with `rkt metadata-service`, or do without (--mds-register=false)")
}
