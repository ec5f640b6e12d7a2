package vm

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// stage1File is the stage1 image that is beside rkt.
const stage1File = "stage1-kvm.aci"

// build is one build of rkt, and what the first pod on a host leaves for the
// next: data and configuration with the probe's image, its key, and the stage1
// image unpacked.
type build struct {
	bin string // directory of rkt and stage1-kvm.aci

	once  sync.Once
	dir   string // of the template
	ready bool
}

func (b *build) data() string   { return filepath.Join(b.dir, "d") }
func (b *build) config() string { return filepath.Join(b.dir, "c") }

// needTemplate makes the template once. Whoever comes later and finds that it
// could not be made fails as well.
func (b *build) needTemplate(t *testing.T) {
	t.Helper()
	b.once.Do(func() {
		b.makeTemplate(t)
		b.ready = true
	})
	if !b.ready {
		t.Fatal("there is no image to run: see the first test that needed one")
	}
}

// makeTemplate does what a user does first: trust a key, fetch a signed image,
// run it.
func (b *build) makeTemplate(t *testing.T) {
	t.Helper()
	h := newEmptyHost(t, b)
	k := newKey(t, h.path("gpg"), "probe@example.com")
	h.must("trust", "--prefix=example.com", "--skip-fingerprint-review", k.Public)
	file := h.write("probe.aci", probeImage(t, probeName, nil))
	k.sign(t, file)
	h.must("fetch", file)
	h.start(probeID(t), "--", "exit", "0").expect(0)
	h.gc()
	b.dir = filepath.Join(shared.dir, "template-"+filepath.Base(h.dir))
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copyTree(t, "-a", h.data(), b.data())
	copyTree(t, "-a", h.config(), b.config())
	// Hosts share files, but never locks.
	for _, locks := range []string{"locks", "cas/imagelocks", "cas/treestorelocks"} {
		if err := os.RemoveAll(filepath.Join(b.data(), locks)); err != nil {
			t.Fatal(err)
		}
	}
}

// probeID returns the id of the probe's image.
func probeID(t testing.TB) string {
	t.Helper()
	return imageID(probeImage(t, probeName, nil))
}
