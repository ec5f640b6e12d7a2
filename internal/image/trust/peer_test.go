package trust_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/image/trust"
)

const past = "20200101T000000!" // and the clock stands still

// TestGPGSignatures checks what GnuPG makes, kind by kind.
func TestGPGSignatures(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	data := bytes.Repeat([]byte("an image\n"), 1000)
	g.newKey("ed <ed@example.com>", "ed25519", "never")
	g.newKey("rsa <rsa@example.com>", "rsa2048", "never")
	g.newKey("p256 <p256@example.com>", "nistp256", "never")
	g.newKey("bp <bp@example.com>", "brainpoolP256r1", "never")
	g.newKey("weak <weak@example.com>", "rsa1024", "never")
	g.newKey("old <old@example.com>", "ed25519", "never", "--cert-digest-algo", "SHA1", "--faked-system-time", past)
	g.newKey("expired <expired@example.com>", "ed25519", "1d", "--faked-system-time", past)
	g.newKey("revoked <revoked@example.com>", "ed25519", "never")
	revokedSig := g.sign(data, "<revoked@example.com>")
	revoked := g.revoke("<revoked@example.com>")

	for _, tc := range []struct {
		desc string
		key  []byte
		sig  []byte
		want error
	}{
		{"ed25519, armoured", g.export("<ed@example.com>"), g.sign(data, "<ed@example.com>", "--armor"), nil},
		{"ed25519, binary", g.export("<ed@example.com>"), g.sign(data, "<ed@example.com>"), nil},
		{"rsa2048", g.export("<rsa@example.com>"), g.sign(data, "<rsa@example.com>", "--armor"), nil},
		{"rsa2048, SHA512", g.export("<rsa@example.com>"), g.sign(data, "<rsa@example.com>", "--digest-algo", "SHA512"), nil},
		{"p256", g.export("<p256@example.com>"), g.sign(data, "<p256@example.com>", "--armor"), nil},
		{"brainpool", g.export("<bp@example.com>"), g.sign(data, "<bp@example.com>", "--armor"), nil},
		{"certified with SHA-1", g.export("<old@example.com>"), g.sign(data, "<old@example.com>"), nil},
		{"SHA-1 over the image", g.export("<rsa@example.com>"), g.sign(data, "<rsa@example.com>", "--digest-algo", "SHA1"), trust.ErrWeak},
		{"rsa1024", g.export("<weak@example.com>"), g.sign(data, "<weak@example.com>"), trust.ErrWeak},
		{"over a text", g.export("<ed@example.com>"), g.sign(data, "<ed@example.com>", "--textmode"), trust.ErrMalformedSignature},
		{"of something else", g.export("<ed@example.com>"), g.sign(data[1:], "<ed@example.com>"), trust.ErrBadSignature},
		{"by another key", g.export("<ed@example.com>"), g.sign(data, "<rsa@example.com>"), trust.ErrUnknownKey},
		{"by two keys, one trusted", g.export("<ed@example.com>"), append(g.sign(data, "<rsa@example.com>"), g.sign(data, "<ed@example.com>")...), nil},
		{"by two keys, trusted one bad", g.export("<ed@example.com>"), append(g.sign(data, "<rsa@example.com>"), g.sign(data[1:], "<ed@example.com>")...), trust.ErrBadSignature},
		{"expired signature", g.export("<old@example.com>"), g.sign(data, "<old@example.com>", "--default-sig-expire", "1d", "--faked-system-time", past), trust.ErrKeyExpired},
		{"signature from the past", g.export("<old@example.com>"), g.sign(data, "<old@example.com>", "--faked-system-time", past), nil},
		{"key expired since", g.export("<expired@example.com>"), g.sign(data, "<expired@example.com>", "--faked-system-time", past), trust.ErrKeyExpired},
		{"revoked", revoked, revokedSig, trust.ErrKeyRevoked},
		{"clear text", g.export("<ed@example.com>"), g.run(data, "--local-user", "<ed@example.com>", "--output", "-", "--clearsign"), trust.ErrNoSignature},
		{"not detached", g.export("<ed@example.com>"), g.run(data, "--local-user", "<ed@example.com>", "--output", "-", "--compress-algo", "none", "--sign"), trust.ErrMalformedSignature},
	} {
		k, _, local := newStore(t)
		fingerprint := key(t, tc.key).Fingerprint()
		write(t, local+"/trustedkeys/root.d/"+fingerprint, tc.key)
		err := verify(k, "example.com/a", data, tc.sig)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.desc, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: not one line: %v", tc.desc, err)
		}
	}
}

// TestSubkeys shows that a subkey signs for its primary key, until it is
// revoked or past its time.
func TestSubkeys(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	data := []byte("an image")
	g.run(nil, "--quick-gen-key", "A <a@example.com>", "ed25519", "cert", "never")
	fingerprint := g.fingerprint("<a@example.com>")
	g.run(nil, "--quick-add-key", fingerprint, "ed25519", "sign", "never")
	k, _, local := newStore(t)
	path := local + "/trustedkeys/root.d/" + strings.ToLower(fingerprint)
	write(t, path, g.export("<a@example.com>"))
	sig := g.sign(data, "<a@example.com>")
	signer, err := k.Verify("example.com/a", bytes.NewReader(data), bytes.NewReader(sig))
	want := &trust.Signer{Fingerprint: strings.ToLower(fingerprint), Identities: []string{"A <a@example.com>"}}
	if diff := cmp.Diff(want, signer); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	commands := "key 1\nrevkey\ny\n0\n\ny\nsave\n"
	g.run([]byte(commands), "--no-batch", "--no-tty", "--status-fd", "2", "--command-fd", "0", "--edit-key", fingerprint)
	write(t, path, g.export("<a@example.com>"))
	if err := verify(k, "a", data, sig); !errors.Is(err, trust.ErrKeyRevoked) {
		t.Errorf("a revoked subkey: %v", err)
	}
}

// TestUselessKeysAreNotAdded shows that trusting a key that can vouch for
// nothing is an error, not a surprise later.
func TestUselessKeysAreNotAdded(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	g.newKey("weak <weak@example.com>", "rsa1024", "never")
	g.newKey("dsa <dsa@example.com>", "dsa2048", "never")
	g.newKey("curve <curve@example.com>", "secp256k1", "never")
	g.newKey("md5 <md5@example.com>", "rsa2048", "never", "--cert-digest-algo", "MD5", "--allow-weak-digest-algos")
	g.newKey("expired <expired@example.com>", "ed25519", "1d", "--faked-system-time", past)
	g.newKey("revoked <revoked@example.com>", "ed25519", "never")
	g.newKey("future <future@example.com>", "ed25519", "never", "--faked-system-time", "20990101T000000!")
	g.run(nil, "--quick-gen-key", "cert <cert@example.com>", "ed25519", "cert", "never")
	g.run(nil, "--quick-gen-key", "sub <sub@example.com>", "ed25519", "cert", "never")
	g.run(nil, "--quick-add-key", g.fingerprint("<sub@example.com>"), "rsa1024", "sign", "never")
	k, _, local := newStore(t)
	for _, tc := range []struct {
		key  []byte
		want error
		text string
	}{
		{g.export("<weak@example.com>"), trust.ErrWeakKey, "is an RSA key of 1024 bits, 2048 are the least"},
		{g.export("<dsa@example.com>"), trust.ErrWeakKey, "is a DSA key"},
		{g.export("<curve@example.com>"), trust.ErrWeakKey, "is a key on the curve SecP256k1"},
		{g.export("<expired@example.com>"), trust.ErrKeyExpired, ", on 2020-01-02)"},
		{g.revoke("<revoked@example.com>"), trust.ErrKeyRevoked, "revoked"},
		{g.export("<future@example.com>"), trust.ErrKeyFuture, "is dated 2099-01-01"},
		{g.export("<cert@example.com>"), trust.ErrCannotSign, "is for signing"},
		{g.export("<sub@example.com>"), trust.ErrWeakKey, "the signing subkey of key"},
	} {
		_, err := k.AddRoot(key(t, tc.key))
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("got %v, want %v, %s", err, tc.want, tc.text)
		}
	}
	_, err := trust.ReadKeys(bytes.NewReader(g.export("<md5@example.com>")))
	if err == nil || !strings.Contains(err.Error(), "MD5 and RIPEMD-160 don't") {
		t.Errorf("a key certified with MD5: %v", err)
	}
	if _, err := os.Stat(local); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was added: %v", err)
	}
}

// TestGPGReadsOurKeys shows that what is written to the keystore is a key to
// others too.
func TestGPGReadsOurKeys(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	g.newKey("A <a@example.com>", "ed25519", "never")
	k, _, _ := newStore(t)
	path := addRoot(t, k, g.export("<a@example.com>"))
	g2 := newGPG(t)
	g2.run(nil, "--import", path)
	if got := g2.fingerprint("<a@example.com>"); got != g.fingerprint("<a@example.com>") {
		t.Errorf("fingerprint %s", got)
	}
}
