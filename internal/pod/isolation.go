package pod

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"rkt/internal/stage1"
)

// isolationTimeout bounds how long a stage1 may look at the host.
const isolationTimeout = 10 * time.Second

// Isolation returns what a pod in this stage1 would have around it on this
// host.
func (s *Stage1) Isolation(ctx context.Context) (stage1.Isolation, error) {
	value, ok := s.manifest.Annotations.Get(stage1.AnnotationIsolation)
	if !ok {
		return "", fmt.Errorf("the stage1 image doesn't say what it gives (annotation %s)", stage1.AnnotationIsolation)
	}
	if strings.HasPrefix(value, "/") {
		var err error
		if value, err = s.askIsolation(ctx); err != nil {
			return "", fmt.Errorf("ask the stage1 image: %w", err)
		}
	}
	return stage1.ParseIsolation(value)
}

// askIsolation runs the image's entry point, which looks at the host.
func (s *Stage1) askIsolation(ctx context.Context) (string, error) {
	entry, err := s.EntryPoint(stage1.AnnotationIsolation)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, isolationTimeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, entry.Program)
	cmd.Args[0], cmd.Dir = entry.Name, "/"
	cmd.Stdout = &limitedWriter{&out, maxWordFile}
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// limitedWriter takes the beginning and drops the rest.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(b []byte) (int, error) {
	taken := b[:min(len(b), l.left)]
	l.left -= len(taken)
	if _, err := l.w.Write(taken); err != nil {
		return 0, err
	}
	return len(b), nil
}
