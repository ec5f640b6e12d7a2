package stories_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"

	"rkt/internal/image/imagetest"
)

const (
	etcdName    = "coreos.com/etcd"
	etcdVersion = "v2.0.9"
	etcdRelease = "github.com/coreos/etcd/releases/download/" + etcdVersion + "/etcd-" + etcdVersion + "-linux-amd64.aci"
	keyFile     = "coreos.com/dist/pubkeys/aci-pubkeys.gpg"
	etcdPage    = `<!DOCTYPE html>
<html><head>
<meta name="ac-discovery" content="coreos.com/etcd https://github.com/coreos/etcd/releases/download/{version}/etcd-{version}-{os}-{arch}.{ext}">
<meta name="ac-discovery-pubkeys" content="coreos.com/etcd https://coreos.com/dist/pubkeys/aci-pubkeys.gpg">
</head><body></body></html>
`
)

// world is a place where some hosts are directories.
type world struct {
	place
	site   string
	signer *imagetest.Signer
}

// newWorld returns one where etcd can be had by its name.
func newWorld(t *testing.T, p programs) *world {
	t.Helper()
	w := &world{place: place{programs: p, dir: t.TempDir()}, signer: imagetest.NewSigner(t, "CoreOS ACI Builder", "release@example.com")}
	w.site = filepath.Join(w.dir, "site")
	w.publish(t, "coreos.com/etcd/index.html", []byte(etcdPage))
	w.publish(t, keyFile, w.signer.PublicKey(t))
	aci := imagetest.Gzip(t, imagetest.ACI(t, imagetest.Manifest(etcdName, etcdVersion, []string{"exit", "0"}), imagetest.File("rootfs/etcd", "etcd")))
	w.publish(t, etcdRelease, aci)
	w.publish(t, etcdRelease+".asc", w.signer.Sign(t, aci))
	return w
}

func (w *world) publish(t *testing.T, path string, data []byte) {
	t.Helper()
	path = filepath.Join(w.site, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// inside returns a command that runs rkt where the hosts are directories.
func (w *world) inside(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := w.command(t, args...)
	cmd.Args = append([]string{w.internet, w.site}, cmd.Args...)
	cmd.Path = w.internet
	return cmd
}

// byName goes from a name to a running pod with nothing configured but a key.
func byName(t *testing.T, p programs) {
	t.Helper()
	t.Run("Transcript", func(t *testing.T) { transcript(t, newWorld(t, p)) })
	t.Run("WithoutTerminal", func(t *testing.T) { withoutTerminal(t, newWorld(t, p)) })
	t.Run("KeyOnTheWay", func(t *testing.T) { keyOnTheWay(t, newWorld(t, p)) })
	t.Run("HostUntouched", func(t *testing.T) { hostUntouched(t, newWorld(t, p)) })
	t.Run("Dependencies", func(t *testing.T) { severalAtOnce(t, newWorld(t, p)) })
}

// fingerprintLine matches what is shown of a key: two groups of five times four
// digits.
const fingerprintLine = `gpg key fingerprint is: ([0-9A-F]{4} ){5} ([0-9A-F]{4} ?){5}\n`

// transcript types what the demonstration of an early release types, with the
// question that later releases ask.
func transcript(t *testing.T, w *world) {
	t.Helper()
	shown, status := w.atTerminalInside(t, "yes\n", "trust", "--prefix", etcdName)
	added := filepath.Join(w.dir, "etc/trustedkeys/prefix.d", etcdName)
	want := `^pubkey: prefix: "coreos.com/etcd"
key: "https://coreos.com/dist/pubkeys/aci-pubkeys.gpg"
` + fingerprintLine + `(    Subkey fingerprint: [0-9A-F ]+\n)*	CoreOS ACI Builder <release@example.com>
Are you sure you want to trust this key \(yes/no\)\?
(yes\n)?pubkey: Trusting "https://coreos.com/dist/pubkeys/aci-pubkeys.gpg" for prefix "coreos.com/etcd" after fingerprint review.
pubkey: Added key for prefix "coreos.com/etcd" at "` + regexp.QuoteMeta(added) + `/[0-9a-f]{40}"
$`
	if status != 0 || !regexp.MustCompile(want).MatchString(shown) {
		t.Fatalf("status %d, trust shows\n%s\nwant\n%s", status, shown, want)
	}
	shown, status = w.atTerminalInside(t, "", "run", etcdName+":"+etcdVersion)
	want = `^image: searching for app image coreos.com/etcd:v2.0.9
image: downloading signature from https://` + etcdRelease + `.asc
Downloading signature: \[=*\] [0-9]+ B/[0-9]+ B
Downloading ACI: \[=*\] [0-9.]+ k?B/[0-9.]+ k?B
image: signature verified:
  CoreOS ACI Builder <release@example.com>
`
	if status != 0 || !regexp.MustCompile(want).MatchString(settled(shown)) {
		t.Fatalf("status %d, run shows\n%s\nwant\n%s", status, settled(shown), want)
	}
	// Nothing can be drawn on a terminal that has no columns.
	cmd := w.inside(t, "fetch", "--pull-policy=update", etcdName+":"+etcdVersion)
	if shown, status := atTerminal(t, cmd, pty.Winsize{}, ""); status != 0 || !strings.Contains(shown, "\nDownloading signature: ") {
		t.Errorf("status %d, without columns fetch shows\n%s", status, shown)
	}
	// Again there is nothing to fetch.
	shown, status = w.atTerminalInside(t, "", "run", etcdName+":"+etcdVersion)
	if status != 0 || strings.Contains(shown, "image: ") || strings.Contains(shown, "Downloading") {
		t.Errorf("status %d, run again shows\n%s", status, shown)
	}
}

// settled returns what stays on a terminal: lines that were drawn again are there
// once, as they were last.
func settled(shown string) string {
	escape := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	up := regexp.MustCompile(`\x1b\[([0-9]+)A`)
	var lines []string
	for _, line := range strings.Split(shown, "\n") {
		if n := up.FindStringSubmatch(line); n != nil {
			var count int
			_, _ = fmt.Sscan(n[1], &count)
			lines = lines[:max(0, len(lines)-count)]
		}
		parts := strings.Split(escape.ReplaceAllString(line, ""), "\r")
		lines = append(lines, strings.TrimRight(parts[len(parts)-1], " "))
	}
	return strings.Join(lines, "\n")
}

// atTerminalInside is atTerminal where the hosts are directories.
func (w *world) atTerminalInside(t *testing.T, answers string, args ...string) (string, int) {
	t.Helper()
	return atTerminal(t, w.inside(t, args...), pty.Winsize{Rows: 24, Cols: 80}, answers)
}

// step is a command and what comes of it.
type step struct {
	args   string
	status int
	want   string // on stderr
}

func (w *world) steps(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		cmd := w.inside(t, strings.Fields(s.args)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if cmd.ProcessState.ExitCode() != s.status || !regexp.MustCompile(s.want).MatchString(stderr.String()) {
			t.Errorf("%s: status %d, no %s in\n%s", s.args, cmd.ProcessState.ExitCode(), s.want, &stderr)
		}
	}
}

// withoutTerminal takes the same steps where nobody can be asked.
func withoutTerminal(t *testing.T, w *world) {
	t.Helper()
	w.steps(t, []step{
		{"trust --prefix coreos.com/etcd", 254, `(?m)^trust: error reviewing key: unable to ask user to review fingerprint due to lack of tty$`},
		{"run coreos.com/etcd:v2.0.9", 254, `(?m)^run: image "coreos.com/etcd:v2.0.9": error reviewing key: unable to ask user`},
		{"trust --prefix coreos.com/nothing", 254, `(?m)^trust: meta discovery on coreos.com/nothing resulted in no keys`},
		{"trust --prefix coreos.com/etcd --skip-fingerprint-review", 0, `(?m)^pubkey: Trusting "https://` + keyFile + `" for prefix "coreos.com/etcd" without fingerprint review.$`},
		{"run coreos.com/etcd:v2.0.9", 0, `(?m)^image: searching for app image coreos.com/etcd:v2.0.9
image: downloading signature from https://` + etcdRelease + `.asc
Downloading signature: [0-9]+ B
Downloading ACI: [0-9]+ B
image: signature verified:
  CoreOS ACI Builder <release@example.com>
`},
		{"run --pull-policy=update coreos.com/etcd:v2.0.9", 0, `(?m)^image: downloading signature`},
		{"--debug run coreos.com/etcd:v2.0.9", 0, `(?m)^image: using image from local store for image name coreos.com/etcd:v2.0.9$`},
		{"fetch coreos.com/etcd:v2.0.10", 254, `(?m)^fetch: image "coreos.com/etcd:v2.0.10": image has no signature: error downloading the signature file: bad HTTP status code: 404$`},
		{"fetch nowhere.com/etcd", 254, `(?m)^fetch: .*discovery failed for "nowhere.com/etcd": `},
		{"fetch --store-only coreos.com/etcd:v9", 254, `(?m)^fetch: unable to fetch image from image name "coreos.com/etcd:v9": either image was not found in the store or store was disabled and fetching from remote yielded nothing or it was disabled$`},
	})
}

// keyOnTheWay trusts a key while an image is fetched.
func keyOnTheWay(t *testing.T, w *world) {
	t.Helper()
	shown, status := w.atTerminalInside(t, "no\n", "run", etcdName+":"+etcdVersion)
	if status != 254 || !strings.Contains(shown, "not trusting") || !strings.Contains(shown, "openpgp: signature made by unknown entity") || strings.Contains(shown, "Downloading ACI") {
		t.Errorf("status %d\n%s", status, shown)
	}
	shown, status = w.atTerminalInside(t, "yes\n", "run", etcdName+":"+etcdVersion)
	if status != 0 || !strings.Contains(shown, "after fingerprint review.") || !strings.Contains(shown, "signature verified") {
		t.Errorf("status %d\n%s", status, shown)
	}
	w = newWorld(t, w.programs)
	// The administrator's word counts more than that of the images' owner.
	mask := filepath.Join(w.dir, "etc/trustedkeys/prefix.d/coreos.com", w.signer.Fingerprint())
	if err := errors.Join(os.MkdirAll(filepath.Dir(mask), 0o755), os.WriteFile(mask, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	w.steps(t, []step{{
		"--trust-keys-from-https run coreos.com/etcd:v2.0.9", 254,
		`(?s)not trusting "https://` + keyFile + `": ` + mask + ` withdraws the key\n.*signature made by unknown entity`,
	}})
	if err := os.Remove(mask); err != nil {
		t.Fatal(err)
	}
	w.steps(t, []step{{"--trust-keys-from-https run coreos.com/etcd:v2.0.9", 0, `(?s)without fingerprint review.*signature verified`}})
}

// hostUntouched shows that the names lead nowhere outside.
func hostUntouched(t *testing.T, w *world) {
	t.Helper()
	for _, path := range []string{"/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w.steps(t, []step{{"version", 0, ""}})
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was changed: %v", path, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), w.internet, w.site, "sh", "-c", "grep -c coreos.com /etc/hosts; exit 7")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 7 || strings.TrimSpace(string(out)) != "1" {
		t.Errorf("status %d, %s", cmd.ProcessState.ExitCode(), out)
	}
}

// publishDiamond puts images on coreos.com that depend on each other, and one
// that depends on itself.
func (w *world) publishDiamond(t *testing.T) {
	t.Helper()
	w.publish(t, "coreos.com/index.html", []byte(`<meta name="ac-discovery" content="coreos.com https://coreos.com/images/{name}.{ext}">`))
	for name, needs := range map[string]string{"base": "", "left": "base", "right": "base", "top": "left right", "loop": "loop"} {
		var list []string
		for _, need := range strings.Fields(needs) {
			list = append(list, fmt.Sprintf(`{"imageName":"coreos.com/%s"}`, need))
		}
		aci := imagetest.ACI(t, imagetest.Manifest("coreos.com/"+name, "1.0", []string{"exit", "0"}, `"dependencies":[`+strings.Join(list, ",")+`]`), imagetest.File("rootfs/"+name, name))
		w.publish(t, "coreos.com/images/coreos.com/"+name+".aci", aci)
		w.publish(t, "coreos.com/images/coreos.com/"+name+".aci.asc", w.signer.Sign(t, aci))
	}
}

// severalAtOnce fetches images that depend on each other.
func severalAtOnce(t *testing.T, w *world) {
	t.Helper()
	w.publishDiamond(t)
	w.steps(t, []step{
		{"trust --prefix coreos.com --skip-fingerprint-review " + filepath.Join(w.site, keyFile), 0, ""},
		{"run coreos.com/top", 0, `(?m)^Downloading ACI coreos.com/left: [0-9.]+ kB$`},
		{"fetch coreos.com/top coreos.com/etcd:v2.0.9", 0, `(?m)^Downloading ACI coreos.com/etcd:v2.0.9: [0-9]+ B$`},
		{"fetch coreos.com/loop", 254, `(?m)^fetch: image "coreos.com/loop": the image depends on itself: coreos.com/loop needs coreos.com/loop$`},
	})
}
