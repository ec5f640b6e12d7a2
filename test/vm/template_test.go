package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// stage1File is the stage1 image that is beside rkt, and stage1Prefix begins the
// names of all of them.
const (
	stage1File   = "stage1-kvm.aci"
	stage1Prefix = "coreos.com/rkt"
)

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

// keptTemplate names a directory that keeps the template from one run of the
// suite to the next: made where a machine is fast, used in one that is not.
const keptTemplate = "RKT_TEST_TEMPLATE"

// makeTemplate does what a user does first: trust a key, fetch a signed image,
// run it.
func (b *build) makeTemplate(t *testing.T) {
	t.Helper()
	kept := os.Getenv(keptTemplate)
	if _, err := os.Stat(kept); err == nil {
		b.dir = filepath.Join(shared.dir, "template")
		copyTree(t, "-a", kept, b.dir) // hosts are linked to it
		b.chooseStage1(t)
		return
	}
	h := newEmptyHost(t, b)
	k := newKey(t, h.path("gpg"), "probe@example.com")
	h.must("trust", "--prefix=example.com", "--skip-fingerprint-review", k.Public)
	file := h.write("probe.aci", probeImage(t, probeName, nil))
	k.sign(t, file)
	h.must("fetch", file)
	if kept != "" {
		h.storeStage1s(k)
	}
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
	if kept != "" {
		copyTree(t, "-a", b.dir, kept)
	}
}

// storeStage1s puts every stage1 image of the build for virtual machines into the
// store, signed and unpacked.
func (h *host) storeStage1s(k *key) {
	h.Helper()
	h.must("trust", "--prefix="+stage1Prefix, "--skip-fingerprint-review", k.Public)
	files, err := filepath.Glob(filepath.Join(h.build.bin, "stage1-kvm*.aci"))
	if err != nil || len(files) == 0 {
		h.Fatalf("stage1 images: %v, %v", files, err)
	}
	for _, file := range files {
		signed := h.path(filepath.Base(file))
		copyTree(h.T, "-p", file, signed)
		k.sign(h.T, signed)
		h.must("fetch", signed)
		name := stage1Prefix + "/" + strings.TrimSuffix(filepath.Base(file), ".aci")
		uuid := h.must("prepare", "--quiet", "--stage1-name="+name, probeID(h.T)) // unpacks it
		h.must("rm", strings.TrimSpace(uuid))
	}
}

// chosenStage1 has the name of the image that pods run in if there is a kept
// template.
const chosenStage1 = "RKT_TEST_STAGE1"

// chooseStage1 makes a stored image the one that all pods run in. Its file is
// never read: in another machine that would have an inode that nobody knows.
func (b *build) chooseStage1(t *testing.T) {
	t.Helper()
	h := newEmptyHost(t, b)
	version := strings.TrimPrefix(strings.SplitN(h.must("version"), "\n", 2)[0], "rkt Version: ")
	name := os.Getenv(chosenStage1)
	if name == "" {
		name = stage1Name
	}
	dir := filepath.Join(b.config(), "stage1.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"rktVersion":"v1","rktKind":"stage1","name":%q,"version":%q}`, name, version)
	if err := os.WriteFile(filepath.Join(dir, "stored.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// probeID returns the id of the probe's image.
func probeID(t testing.TB) string {
	t.Helper()
	return imageID(probeImage(t, probeName, nil))
}
