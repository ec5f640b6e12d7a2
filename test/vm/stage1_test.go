package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	stage1Name    = "coreos.com/rkt/stage1-kvm"
	stage1Release = "github.com/rkt/rkt/releases/stage1-kvm.aci"
	stage1Page    = `<html><head>
<meta name="ac-discovery" content="coreos.com/rkt/stage1-kvm https://github.com/rkt/rkt/releases/stage1-kvm.{ext}">
<meta name="ac-discovery-pubkeys" content="coreos.com/rkt https://coreos.com/key.gpg">
</head></html>
`
)

// TestStage1ByName runs a pod in our own stage1 image, which comes from a server
// by its name and counts only with a signature.
func TestStage1ByName(t *testing.T) {
	t.Parallel()
	h := newEmptyHost(t, &shared.product)
	internet := h.path("internet")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", internet, "rkt/test/internet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	key := newKey(t, h.path("g"), "release@example.com")
	app := h.write("app.aci", probeImage(t, "coreos.com/rkt/probe", nil))
	key.sign(t, app)
	release := publishStage1(t, h, key)
	inside := func(cmd *exec.Cmd) {
		cmd.Args = append([]string{internet, h.path("site")}, cmd.Args...)
		cmd.Path = internet
	}
	version := regexp.MustCompile(`(?m)^rkt Version: (.*)$`).FindStringSubmatch(h.must("version"))[1]
	run := func() result {
		p := h.newPod("--net=none", "--stage1-name="+stage1Name+":"+version, app, "--cpu=1", "--", "exit", "7")
		inside(p.cmd)
		p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
		p.launch()
		return p.wait()
	}
	refused := func(what, words string) {
		t.Helper()
		r := run()
		if r.Status != 254 || !strings.Contains(r.Stderr, words) {
			t.Errorf("%s: status %d, no %q in\n%s", what, r.Status, words, r.Stderr)
		}
		if images := h.must("image", "list", "--no-legend"); images != "" {
			t.Errorf("%s: stored: %s", what, images)
		}
	}
	refused("no key", "error reviewing key: unable to ask user to review fingerprint due to lack of tty")
	trust := h.command("trust", "--prefix=coreos.com/rkt", "--skip-fingerprint-review")
	inside(trust)
	if out, err := trust.CombinedOutput(); err != nil {
		t.Fatalf("trust: %v\n%s", err, out)
	}
	flipBit(t, release)
	refused("tampered", "openpgp: bad signature: the image is not what was signed")
	flipBit(t, release)
	if err := os.Rename(release+".asc", release+".kept"); err != nil {
		t.Fatal(err)
	}
	refused("unsigned", "image has no signature")
	if err := os.Rename(release+".kept", release+".asc"); err != nil {
		t.Fatal(err)
	}

	r := run()
	if r.Status != 7 || !strings.Contains(r.Stderr, "searching for app image "+stage1Name+":"+version) {
		t.Fatalf("status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	if images := h.must("image", "list", "--no-legend", "--fields=name"); !strings.Contains(images, stage1Name+":"+version) {
		t.Errorf("stored:\n%s", images)
	}
	// The server is no longer asked: there is none for this one.
	p := h.start("--net=none", "--stage1-name="+stage1Name, app, "--cpu=1", "--", "exit", "8")
	p.expect(8)
}

// publishStage1 puts the built stage1 image on the server, signed, and returns
// its file.
func publishStage1(t *testing.T, h *host, key *key) string {
	t.Helper()
	release := h.path("site/" + stage1Release)
	for path, text := range map[string]string{
		"site/coreos.com/rkt/stage1-kvm/index.html": stage1Page, "site/coreos.com/rkt/index.html": stage1Page, "site/" + stage1Release: "",
	} {
		if err := os.MkdirAll(filepath.Dir(h.path(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		h.write(path, []byte(text))
	}
	copyTree(t, "-p", filepath.Join(h.build.bin, stage1File), release)
	copyTree(t, "-p", key.Public, h.path("site/coreos.com/key.gpg"))
	key.sign(t, release)
	return release
}
