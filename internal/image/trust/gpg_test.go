package trust_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rkt/internal/image/trust"
)

// gpg is a GnuPG home directory with keys of its own.
type gpg struct {
	t    testing.TB
	home string
}

// newGPG returns an empty home directory. GnuPG is the judge of what signatures
// and keys look like, so without it there is no test.
func newGPG(t testing.TB) *gpg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("needs gpg")
	}
	// The sockets of its agent need a short path.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	g := &gpg{t, home}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	return g
}

// run runs gpg with the given input and returns what it prints.
func (g *gpg) run(input []byte, args ...string) []byte {
	g.t.Helper()
	base := []string{
		"--homedir", g.home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback",
		"--passphrase", "", "--trust-model", "always",
	}
	cmd := exec.Command("gpg", append(base, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %v: %v\n%s", args, err, &stderr)
	}
	return out
}

// newKey makes a key of the given algorithm, such as "ed25519", that may
// certify and sign. More arguments may set the time.
func (g *gpg) newKey(user, algorithm, expire string, args ...string) {
	g.t.Helper()
	g.run(nil, append(args, "--quick-gen-key", user, algorithm, "default", expire)...)
}

func (g *gpg) export(user string) []byte { return g.run(nil, "--armor", "--export", user) }

// fingerprint returns that of the primary key, in upper case.
func (g *gpg) fingerprint(user string) string {
	g.t.Helper()
	for line := range bytes.Lines(g.run(nil, "--with-colons", "--list-keys", user)) {
		if fields := bytes.Split(line, []byte(":")); string(fields[0]) == "fpr" {
			return string(fields[9])
		}
	}
	g.t.Fatalf("no key for %s", user)
	return ""
}

// sign returns a detached signature.
func (g *gpg) sign(data []byte, user string, args ...string) []byte {
	return g.run(data, append(args, "--local-user", user, "--output", "-", "--detach-sign")...)
}

// revoke returns the public key with the revocation that gpg has made along
// with it.
func (g *gpg) revoke(user string) []byte {
	g.t.Helper()
	path := filepath.Join(g.home, "openpgp-revocs.d", g.fingerprint(user)+".rev")
	b, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.run(bytes.Replace(b, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1), "--import")
	return g.export(user)
}

// key reads exactly one key.
func key(t testing.TB, b []byte) *trust.Key {
	t.Helper()
	keys, err := trust.ReadKeys(bytes.NewReader(b))
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return keys[0]
}
