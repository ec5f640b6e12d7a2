package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"rkt/internal/errhint"
	"rkt/internal/fault"
)

const (
	// pluginTimeout bounds one plugin. Asking a DHCP server may take a while.
	pluginTimeout = time.Minute
	// pluginGrace is how long its descriptors may stay open after it ended.
	pluginGrace = 2 * time.Second
	// maxOutput bounds what a plugin may say.
	maxOutput = 1 << 20
)

// runner starts plugins. They hold the pod's lock, so that nobody cleans up
// while one is still at work, and are killed when they take too long.
type runner struct {
	lock    *os.File
	timeout time.Duration
	version.PluginDecoder
}

// FindInPath finds a plugin's program.
func (r *runner) FindInPath(plugin string, dirs []string) (string, error) {
	var absolute []string
	for _, dir := range dirs {
		if filepath.IsAbs(dir) {
			absolute = append(absolute, dir)
		}
	}
	path, err := invoke.FindInPath(plugin, absolute)
	if err != nil {
		return "", errhint.With(fmt.Errorf("could not find plugin %q", plugin), "looked in "+strings.Join(absolute, ", "))
	}
	return path, nil
}

// ExecPlugin runs a plugin to its end.
func (r *runner) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	name := filepath.Base(path)
	stdout, stderr := &bounded{}, &bounded{}
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = withSystemPath(environ)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), stdout, stderr
	if r.lock != nil {
		cmd.ExtraFiles = []*os.File{r.lock}
	}
	// What it starts goes with it when it takes too long, and it goes with this
	// program: the kernel kills it when the thread ends that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pluginGrace
	fault.Point("network.plugin." + name + ".before")
	err := cmd.Run()
	fault.Point("network.plugin." + name + ".after")
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("plugin %s: no answer within %s", name, r.timeout)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("plugin %s: %w", name, context.Cause(ctx))
	case stdout.over || stderr.over:
		return nil, fmt.Errorf("plugin %s: said more than %d bytes", name, maxOutput)
	case err != nil:
		return nil, fmt.Errorf("plugin %s: %w", name, pluginError(err, stdout.kept, stderr.kept))
	}
	return stdout.kept, nil
}

// withSystemPath lets plugins find iptables and nft, which are not where every
// user looks.
func withSystemPath(environ []string) []string {
	const system = "/usr/sbin:/usr/bin:/sbin:/bin"
	environ = slices.Clone(environ)
	for i, variable := range environ {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			environ[i] = "PATH=" + path + ":" + system
			return environ
		}
	}
	return append(environ, "PATH="+system)
}

// pluginError returns a plugin's own words.
// Source: CNI specification 1.1.0, section 5, "Error".
func pluginError(err error, stdout, stderr []byte) error {
	var said types.Error
	if json.Unmarshal(stdout, &said) == nil && said.Msg != "" {
		if said.Details != "" {
			said.Msg += ": " + said.Details
		}
		return errors.New(oneLine(said.Msg))
	}
	if words := oneLine(string(stderr)); words != "" {
		return fmt.Errorf("%w: %s", err, words)
	}
	if words := oneLine(string(stdout)); words != "" {
		return fmt.Errorf("%w: %s", err, words)
	}
	return err
}

// oneLine makes text fit for a message.
func oneLine(text string) string {
	const longest = 500
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))), " ")
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return text
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	kept []byte
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.kept)+len(p) > maxOutput {
		b.over = true
		return len(p), nil
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}
