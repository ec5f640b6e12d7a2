package stories_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// groupMembers shows what somebody who is not root may do with the images of a
// host that was set up for it, and what not.
func groupMembers(t *testing.T, p programs) {
	t.Helper()
	const gid = "64242"
	dir := t.TempDir()
	data, config, work := filepath.Join(dir, "data"), filepath.Join(dir, "etc"), filepath.Join(dir, "work")
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	setup := exec.Command("../../dist/scripts/setup-data-dir.sh", "--dir="+data, "--local-config="+config, "--group="+gid, "--admin-group="+gid)
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Mkdir(work, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(work, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	rkt := func(uid, gid uint32, args ...string) (string, int) {
		cmd := exec.CommandContext(context.Background(), p.rkt, append([]string{"--dir=" + data, "--local-config=" + config, "--system-config=" + dir + "/usr"}, args...)...)
		cmd.Dir = work
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, step := range []struct {
		uid    uint32
		args   string
		status int
		want   string
	}{
		{0, "fetch --insecure-options=image $IMAGES/second.aci", 0, "sha512-"},
		{65534, "trust --root --skip-fingerprint-review $IMAGES/key", 0, "Added root key"},
		{65534, "fetch $IMAGES/app.aci", 0, "signature verified"},
		{65534, "fetch --insecure-options=image $IMAGES/second.aci", 0, "sha512-"},
		{0, "run example.com/app --exec=exit -- 0", 0, "app app exec exit 0"},
		{65534, "image list --no-legend --fields=name", 0, "example.com/second:2.0.0"},
		{65534, "list --no-legend", 0, "exited"},
		{65534, "image cat-manifest example.com/second", 0, "ImageManifest"},
		{65534, "image export example.com/second out.aci", 0, ""},
		{65534, "image render example.com/app dir", 254, "cannot run as unprivileged user"},
		{65534, "image extract example.com/app dir", 254, "cannot run as unprivileged user"},
		{65534, "image verify example.com/app", 254, "cannot run as unprivileged user"},
		{65534, "image gc", 254, "permission denied"},
		{65534, "run example.com/app", 254, "cannot run as unprivileged user"},
		{65534, "image rm example.com/second", 0, "successfully removed aci"},
		{0, "fetch $IMAGES/app.aci", 0, "sha512-"},
		{65534, "image rm example.com/app", 0, "successfully removed aci"},
		{0, "gc --grace-period=0s", 0, ""},
		{0, "image gc --grace-period=0s", 0, "removed treestore"},
	} {
		out, status := rkt(step.uid, 64242, strings.Fields(strings.ReplaceAll(step.args, "$IMAGES", p.images))...)
		if status != step.status || !strings.Contains(out, step.want) {
			t.Errorf("uid %d: rkt %s: status %d, want %d and %q\n%s", step.uid, step.args, status, step.status, step.want, out)
		}
	}
	// Somebody else may do nothing.
	if out, status := rkt(65533, 65533, "image", "list"); status != 254 || !strings.Contains(out, "permission denied") {
		t.Errorf("a stranger: status %d, %s", status, out)
	}
	for _, name := range []string{"cas/disk", "cas/tree", "cas/treestorelocks"} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm()&0o066 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if err := leftovers(data); err != nil {
		t.Error(err)
	}
}
