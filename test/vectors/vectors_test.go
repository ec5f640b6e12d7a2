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

// patience bounds one run of rkt, which takes a second at most when it works, on a
// machine that has nothing else to do, and half a minute if a server is slow.
const patience = 5 * time.Minute

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
	t    *testing.T
	dir  string
	data string // the data directory
	env  []string
}

func (r *rig) newHost(t *testing.T) *host {
	t.Helper()
	return r.newHostAt(t, filepath.Join(t.TempDir(), "data"))
}

// newHostAt returns a host whose data directory is elsewhere.
func (r *rig) newHostAt(t *testing.T, data string) *host {
	t.Helper()
	h := &host{rig: r, t: t, dir: t.TempDir(), data: data, env: os.Environ()}
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
		"--dir=" + h.data, "--local-config=" + h.dir + "/etc", "--system-config=" + h.dir + "/usr",
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

// verdict fetches an image and compares what comes of it with the verdict. It
// returns the id of an image that is good.
func (h *host) verdict(want string, args ...string) (id string) {
	h.t.Helper()
	out, status := h.rktRun(append([]string{"fetch", "--full"}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	switch {
	case want == accepted && status != 0:
		h.t.Errorf("rkt fetch %s: status %d, but it is good:\n%.2000s", strings.Join(args, " "), status, out)
	case want == accepted:
		return strings.TrimSpace(out[max(0, strings.LastIndex(out, "sha512-")):])
	case status != 254 || !regexp.MustCompile(want).MatchString(out):
		h.t.Errorf("rkt fetch %s: status %d, no %q in\n%.2000s", strings.Join(args, " "), status, want, out)
	case strings.Contains(out, "panic") || strings.Contains(out, "goroutine"):
		h.t.Errorf("rkt fetch %s:\n%.2000s", strings.Join(args, " "), out)
	case !strings.HasPrefix(last, "fetch: ") && !strings.HasPrefix(last, "hint: "):
		h.t.Errorf("rkt fetch %s ends with %q", strings.Join(args, " "), last)
	default:
		h.wantNothing()
	}
	return ""
}

// wantNothing fails if anything but an unfinished download of what is good so far
// is left.
func (h *host) wantNothing() {
	h.t.Helper()
	err := filepath.WalkDir(filepath.Join(h.data, "cas"), func(path string, e fs.DirEntry, err error) error {
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
	// fetch lets the image with the given name in by this way; want is the verdict.
	// It returns the id of what was let in.
	fetch func(h *host, image string, aci, sig []byte, want string) (id string)
}

func entrances() []entrance {
	return []entrance{
		{"file", byFile},
		{"url", func(h *host, image string, aci, sig []byte, want string) string {
			return newServer(h, image, files{imagePath: aci, imagePath + ".asc": sig}).verdictURL(want)
		}},
		{"name", func(h *host, image string, aci, sig []byte, want string) string {
			return newServer(h, image, files{imagePath: aci, imagePath + ".asc": sig}).verdictName(want)
		}},
	}
}

func byFile(h *host, _ string, aci, sig []byte, want string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, "app.aci")
	if err := errors.Join(os.WriteFile(path, aci, 0o600), os.WriteFile(path+".asc", sig, 0o600)); err != nil {
		h.t.Fatal(err)
	}
	return h.verdict(want, path)
}

// TestVerdicts shows that the harness can tell good from bad.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, e := range entrances() {
		good := aci(t)
		h := r.newHost(t)
		e.fetch(h, appName, good, r.signer.Sign(t, good), accepted)
		if out, status := h.rktRun("image", "list", "--no-legend", "--fields=name"); status != 0 || !strings.Contains(out, appName+":1") {
			t.Errorf("%s: %s", e.name, out)
		}
		e.fetch(r.newHost(t), appName, good, r.signer.Sign(t, bytes.ToUpper(good)), "the image is not what was signed")
	}
}

const appName = "example.com/app"

// aci returns a good image.
func aci(t *testing.T) []byte {
	t.Helper()
	return imagetest.ACI(t, imagetest.Manifest(appName, "1", []string{"/app"}), imagetest.Program("rootfs/app", "app"))
}
