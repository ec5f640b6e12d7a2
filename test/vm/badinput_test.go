package vm

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/image/imagetest"
)

// refuse runs a command that must fail with one message that has the words,
// and must leave data and pods as they were.
func (h *host) refuse(t *testing.T, words string, args ...string) {
	t.Helper()
	before := h.files()
	r := h.rkt(args...)
	if r.Status != 254 || r.Stdout != "" {
		t.Errorf("rkt %s: status %d, signal %v, stdout %q", strings.Join(args, " "), r.Status, r.Signal, r.Stdout)
	}
	expectOneMessage(t, r.Stderr, words)
	if diff := cmp.Diff(before, h.files()); diff != "" {
		t.Errorf("rkt %s: files (-before +after):\n%s", strings.Join(args, " "), diff)
	}
	for _, file := range h.temporaryFiles() {
		t.Errorf("rkt %s: left %s", strings.Join(args, " "), file)
	}
}

// TestBadArguments shows command lines that nothing can be done with.
func TestBadArguments(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	missing := "00000000-0000-4000-8000-000000000000"
	tests := []struct {
		words string
		args  []string
	}{
		{"--no-such-flag", []string{"run", "--no-such-flag", probeID(t)}},
		{"--no-such-flag", []string{"run", probeID(t), "--no-such-flag"}},
		{"at least one image", []string{"run"}},
		{"no-such-command", []string{"no-such-command"}},
		{"sha512-0123456789", []string{"run", "sha512-0123456789"}},
		{"nothing.aci", []string{"run", "./nothing.aci"}},
		{"example.com/unknown", []string{"run", "example.com/unknown:1.0", "--pull-policy=never"}},
		{missing, []string{"status", missing}},
		{missing, []string{"stop", missing}},
		{missing, []string{"rm", missing}},
		{"--memory", []string{"run", probeID(t), "--memory=much"}},
		{"too low", []string{"run", probeID(t), "--memory=1"}},
		{"--cpu", []string{"run", probeID(t), "--cpu=-1"}},
		{"two", []string{"run", "--insecure-options=two", probeID(t)}},
		{"multiple apps with name", []string{"run", probeID(t), probeID(t)}},
		{"--net", []string{"run", "--net=one,one", probeID(t)}},
		{"nothing.aci", []string{"run", "--stage1-path=" + h.path("nothing.aci"), probeID(t)}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) { h.refuse(t, test.words, test.args...) })
	}
}

// TestAmbiguous shows prefixes that more than one pod or image has.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, last := range []string{"1", "2"} {
		dir := filepath.Join(h.data(), "pods", "run", "aaaaaaaa-0000-4000-8000-00000000000"+last)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"status", "stop", "rm"} {
		h.refuse(t, "ambiguous", command, "aaaaaaaa")
	}
	one, two := alike(t)
	h.must("fetch", "--insecure-options=image", h.write("one.aci", one))
	h.must("fetch", "--insecure-options=image", h.write("two.aci", two))
	h.refuse(t, "ambiguous", "run", imageID(one)[:len("sha512-ab")])
}

// alike returns two images whose ids begin with the same two digits.
func alike(t *testing.T) (one, two []byte) {
	t.Helper()
	seen := make(map[string][]byte)
	for i := 0; ; i++ {
		image := imagetest.ACI(t, imagetest.Manifest("example.com/alike", fmt.Sprint(i), []string{"/a"}))
		prefix := imageID(image)[:len("sha512-ab")]
		if twin, found := seen[prefix]; found {
			return twin, image
		}
		seen[prefix] = image
	}
}

// TestBadImages shows archives and manifests that are not what they should be.
func TestBadImages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	good := probeImage(t, "example.com/good", nil)
	broken := func(change func(m fields)) []byte {
		m := manifest("example.com/broken", nil)
		change(m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return imagetest.ACI(t, string(text))
	}
	entries := func(e ...imagetest.Entry) []byte { return probeImage(t, "example.com/entries", nil, e...) }
	unknown := imagetest.File("rootfs/odd", "")
	unknown.Typeflag = 'Z'
	tests := []struct {
		name, words string
		image       []byte
	}{
		{"wrong acKind", "acKind", broken(func(m fields) { m["acKind"] = "PodManifest" })},
		{"no acKind", "acKind", broken(func(m fields) { delete(m, "acKind") })},
		{"no acVersion", "acVersion", broken(func(m fields) { delete(m, "acVersion") })},
		{"no name", "name", broken(func(m fields) { delete(m, "name") })},
		{"bad name", "name", broken(func(m fields) { m["name"] = "Example.COM/Ünicode" })},
		{"malformed labels", "labels", broken(func(m fields) { m["labels"] = "version" })},
		{"no user", "user", broken(func(m fields) { m["app"] = fields{"exec": []string{"/a"}, "group": "0"} })},
		{"relative working directory", "workingDirectory", broken(func(m fields) {
			m["app"] = fields{"exec": []string{"/a"}, "user": "0", "group": "0", "workingDirectory": "here"}
		})},
		{"not JSON", "manifest", imagetest.ACI(t, "acKind: ImageManifest")},
		{"no manifest", "manifest", imagetest.Tar(t, imagetest.Dir("rootfs"))},
		{"no rootfs", "rootfs", imagetest.Tar(t, imagetest.File("manifest", imagetest.Manifest("example.com/a", "1", []string{"/a"})))},
		{"empty", "", nil},
		{"not an archive", "", []byte(strings.Repeat("no archive ", 1000))},
		{"truncated", "", good[:len(good)/2]},
		{"truncated gzip", "", func() []byte { z := imagetest.Gzip(t, good); return z[:len(z)/2] }()},
		{"dot dot", "..", entries(imagetest.File("rootfs/../../evil", "x"))},
		{"absolute name", "/evil", entries(imagetest.File("/evil", "x"))},
		{"through a link out of the root", "link", entries(
			imagetest.Symlink("rootfs/link", "/etc"), imagetest.File("rootfs/link/evil", "x"))},
		{"hard link out of the root", "hard", entries(imagetest.Hardlink("rootfs/hard", "../../../etc/passwd"))},
		{"outside of rootfs", "elsewhere", entries(imagetest.File("elsewhere/file", "x"))},
		{"unknown type", "odd", entries(unknown)},
		{"hard link to nothing", "dangling", entries(imagetest.Hardlink("rootfs/dangling", "rootfs/nothing"))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := h.write("bad.aci", test.image)
			h.refuse(t, test.words, "run", "--insecure-options=image", file)
		})
	}
	if _, err := os.Stat("/evil"); err == nil {
		t.Error("an image wrote to the host")
	}
}

// TestOtherArchitecture shows an image that is good, and may be kept, but not
// run here.
func TestOtherArchitecture(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	m := manifest("example.com/other", nil)
	m["labels"] = []fields{{"name": "os", "value": "linux"}, {"name": "arch", "value": "pdp11"}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	file := h.write("other.aci", imagetest.ACI(t, string(text)))
	h.must("fetch", "--insecure-options=image", file)
	h.refuse(t, "bad arch", "run", "--insecure-options=image", file)
}

// TestTruncatedDownload shows a server that closes the connection too early.
func TestTruncatedDownload(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	image := probeImage(t, "example.com/download", nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(image)))
		if strings.HasPrefix(r.URL.Path, "/whole") {
			_, _ = w.Write(image)
			return
		}
		_, _ = w.Write(image[:len(image)/2])
	}))
	defer server.Close()
	before := h.files()
	r := h.rkt("run", "--insecure-options=image,http", server.URL+"/half.aci")
	if r.Status != 254 {
		t.Errorf("status %d", r.Status)
	}
	expectOneMessage(t, r.Stderr, server.URL)
	if diff := cmp.Diff(before, h.files()); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
	h.start("--insecure-options=image,http", server.URL+"/whole.aci", "--cpu=1", "--", "exit", "4").expect(4)
}

// TestNotRoot shows what everybody else is told.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, args := range [][]string{{"run", probeID(t)}, {"gc"}, {"rm", "00000000-0000-4000-8000-000000000000"}} {
		cmd := h.command(args...)
		cmd.Path = accessible(t, h)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 254 {
			t.Errorf("rkt %v: %v\n%s", args, cmd.ProcessState, out)
		}
		expectOneMessage(t, string(out), "cannot run as unprivileged user")
	}
}

// accessible returns a copy of rkt that everybody may execute.
func accessible(t *testing.T, h *host) string {
	t.Helper()
	if _, err := os.Stat(h.path("rkt")); err != nil {
		copyTree(t, "-L", filepath.Join(h.build.bin, "rkt"), h.path("rkt"))
	}
	return h.path("rkt")
}

// TestIncompleteStage1 shows stage1 images that lack something.
func TestIncompleteStage1(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	without := func(path string) func(*tar.Header) bool {
		return func(e *tar.Header) bool {
			return e.Name != "rootfs/"+path && !strings.HasPrefix(e.Name, "rootfs/"+path+"/")
		}
	}
	for _, path := range []string{"run", "stop", "gc", "machine.json", "machine/boot", "machine/usr/bin", "guest.img", "scratch.img"} {
		t.Run("without "+path, func(t *testing.T) {
			file := h.path("stage1.aci")
			repack(t, filepath.Join(h.build.bin, stage1File), file, without(path), nil)
			r := h.rkt("run", "--insecure-options=image", "--stage1-path="+file, probeID(t), "--cpu=1", "--", "exit", "0")
			if r.Status != 254 || r.Stdout != "" {
				t.Errorf("status %d, stdout %q", r.Status, r.Stdout)
			}
			expectOneMessage(t, r.Stderr, filepath.Base(path))
			h.gc()
			if dirs := h.podDirs(); len(dirs) != 0 {
				t.Errorf("pods: %v", dirs)
			}
		})
	}
	t.Run("no archive", func(t *testing.T) {
		h.refuse(t, "stage1", "run", "--stage1-path="+h.write("bad.aci", []byte("nothing")), probeID(t))
	})
	t.Run("no stage1", func(t *testing.T) {
		file := h.write("probe.aci", probeImage(t, "example.com/no-stage1", nil))
		r := h.rkt("run", "--stage1-path="+file, probeID(t))
		if r.Status != 254 {
			t.Errorf("status %d", r.Status)
		}
		expectOneMessage(t, r.Stderr, "stage1")
	})
}

// TestStage1MayBeMissing shows what is said if rkt stands alone.
func TestStage1MayBeMissing(t *testing.T) {
	t.Parallel()
	h := newEmptyHost(t, &shared.product)
	if err := os.Mkdir(h.path("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyTree(t, "-L", filepath.Join(h.build.bin, "rkt"), h.path("bin"))
	h.build = &build{bin: h.path("bin")}
	file := h.write("probe.aci", probeImage(t, probeName, nil))
	h.refuse(t, "stage1", "run", "--insecure-options=image", file)
}
