package vectors

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rkt/internal/image/imagetest"
)

// patience bounds one run of rkt, which takes a second at most when it works.
const patience = 2 * time.Minute

// accepted is the verdict of what must work; other verdicts are patterns of
// what rkt says, whose status is 254 then.
const accepted = ""

// rig is a built rkt and a key that it trusts.
type rig struct {
	rkt    string
	key    string
	signer *imagetest.Signer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{rkt: filepath.Join(dir, "rkt"), key: filepath.Join(dir, "key"), signer: imagetest.NewSigner(t, "V", "v@example.com")}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", r.rkt, "rkt/cmd/rkt")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build rkt: %v\n%s", err, out)
	}
	if err := os.WriteFile(r.key, r.signer.PublicKey(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// host is an empty data directory and a configuration that trusts the key.
type host struct {
	*rig
	t   *testing.T
	dir string
	env []string
}

func (r *rig) newHost(t *testing.T) *host {
	t.Helper()
	h := &host{rig: r, t: t, dir: t.TempDir(), env: os.Environ()}
	if out, status := h.rktRun("trust", "--root", "--skip-fingerprint-review", r.key); status != 0 {
		t.Fatal(out)
	}
	return h
}

// rktRun runs rkt and returns all that it says, and its status.
func (h *host) rktRun(args ...string) (string, int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.rkt, append([]string{
		"--dir=" + h.dir + "/data", "--local-config=" + h.dir + "/etc", "--system-config=" + h.dir + "/usr",
	}, args...)...)
	cmd.Env = h.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	if ctx.Err() != nil {
		h.t.Errorf("rkt %s does not end", strings.Join(args, " "))
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// verdict fetches an image and compares what comes of it with the verdict.
func (h *host) verdict(want string, args ...string) {
	h.t.Helper()
	out, status := h.rktRun(append([]string{"fetch", "--full"}, args...)...)
	switch {
	case want == accepted && status != 0:
		h.t.Errorf("rkt fetch %s: status %d, but it is good:\n%.2000s", strings.Join(args, " "), status, out)
	case want == accepted:
	case status != 254 || !regexp.MustCompile(want).MatchString(out):
		h.t.Errorf("rkt fetch %s: status %d, no %q in\n%.2000s", strings.Join(args, " "), status, want, out)
	case strings.Contains(out, "panic") || strings.Contains(out, "goroutine"):
		h.t.Errorf("rkt fetch %s:\n%.2000s", strings.Join(args, " "), out)
	default:
		h.wantNothing()
	}
}

// wantNothing fails if anything but an unfinished download of what is good so far
// is left.
func (h *host) wantNothing() {
	h.t.Helper()
	err := filepath.WalkDir(filepath.Join(h.dir, "data/cas"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Base(filepath.Dir(path)) != "tmp" {
			h.t.Errorf("left behind: %s", path)
		}
		if strings.HasPrefix(e.Name(), ".tmp-") {
			h.t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
}

// entrance is a way for an image to come to rkt.
type entrance struct {
	name string
	// fetch lets the image in by this way; want is the verdict.
	fetch func(h *host, aci, sig []byte, want string)
}

func entrances(t *testing.T) []entrance {
	t.Helper()
	return []entrance{
		{"file", byFile},
		{"url", func(h *host, aci, sig []byte, want string) {
			newServer(h, files{"/app.aci": aci, "/app.aci.asc": sig}).verdictURL(want)
		}},
		{"name", func(h *host, aci, sig []byte, want string) {
			newServer(h, files{"/app.aci": aci, "/app.aci.asc": sig}).verdictName(want)
		}},
	}
}

func byFile(h *host, aci, sig []byte, want string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "app.aci")
	if err := errors.Join(os.WriteFile(path, aci, 0o600), os.WriteFile(path+".asc", sig, 0o600)); err != nil {
		h.t.Fatal(err)
	}
	h.verdict(want, path)
}

// vector is an image and the verdict on it.
type vector struct {
	name string
	make func(t *testing.T) []byte
	want string // accepted, or a pattern of what is said
}

// TestImages lets every image in by every entrance. Each is signed by a trusted
// key: who signs may be fooled, and an image may not hurt even then.
func TestImages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, v := range images() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			aci := v.make(t)
			sig := r.signer.Sign(t, aci)
			for _, e := range entrances(t) {
				t.Run(e.name, func(t *testing.T) { e.fetch(r.newHost(t), aci, sig, v.want) })
			}
		})
	}
}

// TestVerdicts shows that the harness can tell good from bad.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, e := range entrances(t) {
		good := aci(t)
		h := r.newHost(t)
		e.fetch(h, good, r.signer.Sign(t, good), accepted)
		if out, status := h.rktRun("image", "list", "--no-legend", "--fields=name"); status != 0 || !strings.Contains(out, "example.com/app:1.0") {
			t.Errorf("%s: %s", e.name, out)
		}
		e.fetch(r.newHost(t), good, r.signer.Sign(t, bytes.ToUpper(good)), "the image is not what was signed")
	}
}

const appName = "example.com/app"

// aci returns a good image with more entries.
func aci(t *testing.T, entries ...imagetest.Entry) []byte {
	t.Helper()
	return imagetest.ACI(t, imagetest.Manifest(appName, "1.0", []string{"/app"}), append([]imagetest.Entry{imagetest.Program("rootfs/app", "app")}, entries...)...)
}

// with returns a maker of a good image with more entries.
func with(entries ...imagetest.Entry) func(*testing.T) []byte {
	return func(t *testing.T) []byte { t.Helper(); return aci(t, entries...) }
}

// bytesOf returns a maker of some bytes.
func bytesOf(b []byte) func(*testing.T) []byte { return func(*testing.T) []byte { return b } }
