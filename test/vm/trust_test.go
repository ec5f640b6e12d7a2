package vm

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusal is an image that must not run.
type refusal struct {
	name  string
	image string // what its manifest says
	make  func(t *testing.T, file string)
	words string // that the message must have
}

// TestRefusedImages shows that only the very bytes that a trusted key has
// signed are used, for the names that the key is trusted for.
func TestRefusedImages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	trusted := newKey(t, h.path("g1"), "trusted@example.org")
	other := newKey(t, h.path("g2"), "other@example.org")
	h.must("trust", "--prefix=example.org/a", "--skip-fingerprint-review", trusted.Public)
	signed := func(k *key) func(*testing.T, string) {
		return func(t *testing.T, file string) { k.sign(t, file) }
	}
	refusals := []refusal{
		{"bit flipped", "example.org/a", func(t *testing.T, file string) {
			trusted.sign(t, file)
			flipBit(t, file)
		}, "signature"},
		{"another key", "example.org/a", signed(other), "unknown entity"},
		{"no signature", "example.org/a", func(*testing.T, string) {}, "error opening signature file"},
		{"key for another prefix", "example.org/ab", signed(trusted), "example.org/ab"},
		{"signature flipped", "example.org/a", func(t *testing.T, file string) {
			trusted.sign(t, file)
			flipBit(t, file+".asc")
		}, "signature"},
		{"truncated", "example.org/a", func(t *testing.T, file string) {
			trusted.sign(t, file)
			truncate(t, file)
		}, "signature"},
	}
	before := h.files()
	messages := make(map[string]string)
	for i, refusal := range refusals {
		file := h.write(strings.ReplaceAll(refusal.name, " ", "-")+".aci", probeImage(t, refusal.image, nil))
		refusal.make(t, file)
		r := h.rkt("run", file, "--", "exit", "0")
		if r.Status != 254 || r.Stdout != "" {
			t.Errorf("%s: status %d, stdout %q", refusal.name, r.Status, r.Stdout)
		}
		expectOneMessage(t, r.Stderr, refusal.words)
		if diff := cmp.Diff(before, h.files()); diff != "" {
			t.Errorf("%s: files (-before +after):\n%s", refusal.name, diff)
		}
		// The first four are what the founding page asks to be told apart.
		message := strings.ReplaceAll(r.Stderr, file, "FILE")
		if twin, taken := messages[message]; taken && i < 4 {
			t.Errorf("%s has the message of %s: %s", refusal.name, twin, message)
		}
		messages[message] = refusal.name
		t.Logf("%s:\n%s", refusal.name, r.Stderr)
	}
	expectAccepted(t, h, trusted)
}

// expectAccepted runs images that are signed as they should be, so that the
// refusals above prove something.
func expectAccepted(t *testing.T, h *host, k *key) {
	t.Helper()
	for i, name := range []string{"example.org/a", "example.org/a/b"} {
		file := h.write([]string{"one.aci", "two.aci"}[i], probeImage(t, name, nil))
		k.sign(t, file)
		p := h.start(file, "--cpu=1", "--", "exit", "0")
		p.expect(0)
	}
}

// flipBit changes one bit in the middle of a file.
func flipBit(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedDisk shows that a rendered image that was changed behind rkt's
// back is not run: it is refused or made anew.
func TestDamagedDisk(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before := h.files()
	image := probeImage(t, "example.com/damaged", nil)
	h.start("--insecure-options=image", h.write("damaged.aci", image), "--cpu=1", "--", "exit", "0").expect(0)
	disk := newDisk(t, before, h.files())
	flipBit(t, disk)
	p := h.start(imageID(image), "--cpu=1", "--", "exit", "3")
	if r := p.wait(); r.Status == 254 {
		expectOneMessage(t, r.Stderr, "damaged")
	} else if r.Status != 3 {
		t.Errorf("status %d:\n%s", r.Status, r.Stderr)
	} else if b, err := os.ReadFile(disk); err != nil || !bytes.Contains(b, shared.probe) {
		t.Errorf("it ran from the damaged disk (%v)", err)
	}
}

// newDisk returns the disk image that is there only now.
func newDisk(t *testing.T, before, after []string) string {
	t.Helper()
	var found []string
	for _, file := range after {
		info, err := os.Stat(file)
		if err == nil && strings.Contains(file, "/cas/disk/") && !slices.Contains(before, file) &&
			info.Size() > int64(len(shared.probe)) {
			found = append(found, file)
		}
	}
	if len(found) != 1 {
		t.Fatalf("new disk images: %v", found)
	}
	return found[0]
}
