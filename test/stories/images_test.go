package stories_test

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

const stage1Annotations = `"annotations":[
	{"name":"coreos.com/rkt/stage1/run","value":"/run"},
	{"name":"coreos.com/rkt/stage1/stop","value":"/stop"},
	{"name":"coreos.com/rkt/stage1/gc","value":"/gc"},
	{"name":"coreos.com/rkt/stage1/isolation","value":"none"},
	{"name":"coreos.com/rkt/stage1/interface-version","value":"7"},
	{"name":"coreos.com/rkt/stage1/app-format","value":"disk"}]`

// makeImages fills a directory with images, good and bad, each with its
// signature, and the keys they were signed with.
func makeImages(t *testing.T, dir, stage1 string) {
	t.Helper()
	signer := imagetest.NewSigner(t, "Story Teller", "teller@example.com")
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("key", signer.PublicKey(t))
	other := imagetest.NewSigner(t, "Somebody Else", "else@example.com")
	write("other-key", other.PublicKey(t))
	all := images(t, stage1)
	program, err := os.ReadFile(stage1)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, brokenStage1s(t, string(program)))
	for name, image := range all {
		write(name+".aci", image)
		write(name+".aci.asc", signer.Sign(t, image))
	}
	app := images(t, stage1)["app"]
	write("unsigned.aci", app)
	write("stranger.aci", app)
	write("stranger.aci.asc", other.Sign(t, app))
	flipped := bytes.Replace(app, []byte("hello"), []byte("hellp"), 1)
	write("flipped.aci", flipped)
	write("flipped.aci.asc", signer.Sign(t, app))
}

func images(t *testing.T, stage1 string) map[string][]byte {
	t.Helper()
	program, err := os.ReadFile(stage1)
	if err != nil {
		t.Fatal(err)
	}
	good := imagetest.Manifest("example.com/app", "1.0.0", []string{"exit", "0"})
	file := imagetest.File("rootfs/hello", "hello")
	app := imagetest.ACI(t, good, file)
	manifest := func(old, replacement string) []byte {
		changed := strings.Replace(good, old, replacement, 1)
		if changed == good {
			t.Fatalf("nothing to replace: %q", old)
		}
		return imagetest.ACI(t, changed, file)
	}
	entry := func(e imagetest.Entry) []byte { return imagetest.ACI(t, good, file, e) }
	stage1Manifest := imagetest.Manifest("example.com/stage1", "1.0.0", nil, stage1Annotations)
	links := []imagetest.Entry{
		imagetest.Program("rootfs/stage1", string(program)), imagetest.Symlink("rootfs/run", "stage1"),
		imagetest.Hardlink("rootfs/stop", "rootfs/stage1"), imagetest.Hardlink("rootfs/gc", "rootfs/stage1"),
	}
	tree := strings.Replace(stage1Manifest, `"disk"`, `"cpio"`, 1)
	newer := strings.Replace(stage1Manifest, `"7"`, `"8"`, 1)
	return map[string][]byte{
		"app":    app,
		"gzip":   imagetest.Gzip(t, app),
		"second": imagetest.ACI(t, imagetest.Manifest("example.com/second", "2.0.0", []string{"exit", "0"}), file),
		"base": imagetest.ACI(t, imagetest.Manifest("example.com/base", "1.0.0", nil), imagetest.File("rootfs/base", "base"),
			imagetest.File("rootfs/hello", "base")),
		"layered": imagetest.ACI(t, imagetest.Manifest("example.com/layered", "1.0.0", []string{"exit", "0"},
			`"dependencies":[{"imageName":"example.com/base"}]`), file),
		"abroad":           imagetest.ACI(t, imagetest.Manifest("example.comabroad/app", "1.0.0", []string{"exit", "0"}), file),
		"bad-kind":         manifest("ImageManifest", "PodManifest"),
		"bad-name":         manifest("example.com/app", "Example.com/app"),
		"no-version":       manifest(`"acVersion":"0.8.11",`, ""),
		"no-user":          manifest(`,"user":"0"`, ""),
		"no-arch":          manifest(`{"name":"arch","value":"amd64"},`, ""),
		"not-json":         imagetest.ACI(t, "{", file),
		"no-manifest":      imagetest.Tar(t, imagetest.Dir("rootfs"), file),
		"no-rootfs":        imagetest.Tar(t, imagetest.File("manifest", good)),
		"truncated":        app[:len(app)/2],
		"truncated-gzip":   imagetest.Gzip(t, app)[:100],
		"not-an-archive":   []byte("hello\n"),
		"empty":            nil,
		"dotdot":           entry(imagetest.File("rootfs/../../etc/passwd", "x")),
		"absolute":         entry(imagetest.File("/etc/passwd", "x")),
		"outside":          entry(imagetest.File("elsewhere/file", "x")),
		"link-out":         entry(imagetest.Hardlink("rootfs/link", "../../etc/passwd")),
		"through-link":     imagetest.ACI(t, good, imagetest.Symlink("rootfs/out", "/etc"), imagetest.File("rootfs/out/passwd", "x")),
		"unknown-type":     entry(imagetest.Entry{Header: tar.Header{Typeflag: '9', Name: "rootfs/odd"}}),
		"stage1":           imagetest.ACI(t, stage1Manifest, links...),
		"stage1-no-gc":     imagetest.ACI(t, stage1Manifest, links[:3]...),
		"stage1-tree":      imagetest.ACI(t, tree, links...),
		"stage1-newer":     imagetest.ACI(t, newer, links...),
		"stage1-plain-app": app,
	}
}
