package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// key is a signing key made by GnuPG for the occasion.
type key struct {
	home   string // GnuPG's directory
	Public string // file with the armoured public key
}

// newKey makes a key in the directory. GnuPG's agent ends with the test.
func newKey(t *testing.T, dir, owner string) *key {
	t.Helper()
	k := &key{home: dir, Public: filepath.Join(dir, "public.asc")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = append(os.Environ(), "GNUPGHOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("gpgconf: %v\n%s", err, out)
		}
	})
	k.gpg(t, "--pinentry-mode", "loopback", "--passphrase", "",
		"--quick-generate-key", owner, "rsa2048", "sign", "never")
	k.gpg(t, "--armor", "--output", k.Public, "--export")
	return k
}

// sign writes a detached signature beside a file, where rkt looks for it.
func (k *key) sign(t *testing.T, file string) {
	t.Helper()
	k.gpg(t, "--armor", "--yes", "--output", file+".asc", "--detach-sign", file)
}

func (k *key) gpg(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "gpg", append([]string{"--batch", "--no-tty", "--homedir", k.home}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gpg %v: %v\n%s", args, err, out)
	}
}
