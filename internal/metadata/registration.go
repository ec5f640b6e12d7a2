package metadata

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"rkt/internal/appc"
	"rkt/internal/fault"
)

// DefaultDirectory is that of a host. What is in it does not outlive the host's
// start, as pods don't.
const DefaultDirectory Directory = "/run/rkt"

// Directory holds registrations and the service's socket.
type Directory string

const (
	// maxRegistration bounds a file with the manifests of a pod and its images.
	maxRegistration = 64 << 20
	suffix          = ".json"
	tokenBytes      = 16 // as in rkt 1.30
)

// Registrations is where the files are, one for each pod.
func (d Directory) Registrations() string { return filepath.Join(string(d), "metadata") }

func (d Directory) file(pod string) string { return filepath.Join(d.Registrations(), pod+suffix) }

// Registration is a pod as the service knows it.
type Registration struct {
	UUID  string `json:"uuid"`
	Token string `json:"token"` // 32 hexadecimal digits, which only the pod's apps are told
	// Gateway is the host's address that the pod asks at.
	Gateway netip.Addr `json:"gateway"`
	// Sources are the pod's addresses. From others the token is worth nothing.
	Sources []netip.Addr `json:"sources"`
	// Pod is the pod manifest, and Images are the image manifests by the names of
	// the apps, both as they were written.
	Pod    json.RawMessage            `json:"pod"`
	Images map[string]json.RawMessage `json:"images"`
}

// NewToken returns a token that nobody can guess.
func NewToken() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// URL is where the pod's apps ask, of a service at a port. Source: rkt 1.30.
func (r *Registration) URL(port uint16) string {
	return "http://" + netip.AddrPortFrom(r.Gateway, port).String() + "/" + r.Token
}

// Add registers a pod, in one step.
func (d Directory) Add(r *Registration) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := Parse(b); err != nil {
		return err
	}
	if err := d.Make(); err != nil {
		return err
	}
	temporary := d.file(r.UUID) + ".new"
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return err
	}
	fault.Point("metadata.add.before-rename")
	err = os.Rename(temporary, d.file(r.UUID))
	fault.Point("metadata.add.after-rename")
	return err
}

// Remove undoes Add, however far that came. It may be called any number of times.
func (d Directory) Remove(pod string) error {
	for _, path := range []string{d.file(pod), d.file(pod) + ".new"} {
		fault.Point("metadata.remove.before")
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	fault.Point("metadata.remove.after")
	return nil
}

// Make makes the directory where there is none yet.
func (d Directory) Make() error {
	const forAll, forRoot = 0o755, 0o700
	if err := os.MkdirAll(string(d), forAll); err != nil {
		return err
	}
	return os.MkdirAll(d.Registrations(), forRoot)
}

// Has tells whether a pod is registered.
func (d Directory) Has(pod string) bool {
	_, err := os.Lstat(d.file(pod))
	return err == nil
}

// Pods lists the UUIDs of those that are registered.
func (d Directory) Pods() ([]string, error) {
	entries, err := os.ReadDir(d.Registrations())
	if err != nil {
		return nil, err
	}
	var pods []string
	for _, e := range entries {
		if pod, ok := strings.CutSuffix(e.Name(), suffix); ok {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// Get reads the registration of a pod. The error is os.ErrNotExist if there is
// none.
func (d Directory) Get(pod string) (*Registration, error) {
	f, err := os.Open(d.file(pod))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRegistration+1))
	if err != nil {
		return nil, err
	}
	r, err := Parse(b)
	if err == nil && r.UUID != pod {
		err = fmt.Errorf("it is that of pod %s", r.UUID)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return r, nil
}

// Parse reads a registration and makes sure that nothing in it is missing.
func Parse(b []byte) (*Registration, error) {
	if len(b) > maxRegistration {
		return nil, fmt.Errorf("more than %d bytes", maxRegistration)
	}
	var r Registration
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, err
	}
	if token, err := hex.DecodeString(r.Token); err != nil || len(token) != tokenBytes {
		return nil, errors.New("the token is not one")
	}
	if id, err := uuid.Parse(r.UUID); err != nil || id.String() != r.UUID {
		return nil, fmt.Errorf("%q is not a UUID", r.UUID)
	}
	if !r.Gateway.Is4() || r.Gateway.IsUnspecified() || len(r.Sources) == 0 {
		return nil, errors.New("no IPv4 address to ask at, or none to ask from")
	}
	return &r, r.checkManifests()
}

func (r *Registration) checkManifests() error {
	pod, err := appc.ParsePodManifest(r.Pod)
	if err != nil {
		return fmt.Errorf("pod manifest: %w", err)
	}
	for _, app := range pod.Apps {
		if _, err := appc.ParseImageManifest(r.Images[string(app.Name)]); err != nil {
			return fmt.Errorf("image manifest of app %q: %w", app.Name, err)
		}
	}
	return nil
}
