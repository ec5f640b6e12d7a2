package trust_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/trust"
)

// store returns an empty keystore and its directories.
func newStore(t testing.TB) (k *trust.Keystore, system, local string) {
	t.Helper()
	dir := t.TempDir()
	system, local = filepath.Join(dir, "system"), filepath.Join(dir, "local")
	return trust.Open(system, local), system, local
}

func verify(k *trust.Keystore, name string, data, sig []byte) error {
	_, err := k.Verify(appc.ACIdentifier(name), bytes.NewReader(data), bytes.NewReader(sig))
	return err
}

func addRoot(t testing.TB, k *trust.Keystore, b []byte) string {
	t.Helper()
	path, err := k.AddRoot(key(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func addPrefix(t testing.TB, k *trust.Keystore, prefix string, b []byte) string {
	t.Helper()
	path, err := k.AddPrefix(appc.ACIdentifier(prefix), key(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPrefixes shows which image names a key counts for.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	k, _, _ := newStore(t)
	signer := imagetest.NewSigner(t, "A", "a@example.com")
	addPrefix(t, k, "example.com/a", signer.PublicKey(t))
	data := []byte("image")
	sig := signer.Sign(t, data)
	for name, want := range map[string]error{
		"example.com/a":     nil,
		"example.com/a/b/c": nil,
		"example.com/ab":    trust.ErrOtherPrefix,
		"example.com/a-b":   trust.ErrOtherPrefix,
		"example.com":       trust.ErrOtherPrefix,
		"example.com/b":     trust.ErrOtherPrefix,
		"other.com/a":       trust.ErrOtherPrefix,
	} {
		if err := verify(k, name, data, sig); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	err := verify(k, "example.com/ab", data, sig)
	if !strings.Contains(err.Error(), `is trusted for example.com/a, not for "example.com/ab"`) {
		t.Errorf("the prefix is not named: %v", err)
	}
	const hint = "If you expected the signing key to change, try running:\n    rkt trust --prefix example.com/ab"
	if got := errhint.Of(err); got != hint {
		t.Errorf("hint %q", got)
	}
	if err := verify(k, "example.com/ab", append(data, 'x'), sig); !errors.Is(err, trust.ErrBadSignature) {
		t.Errorf("a changed image with another name: %v", err)
	}
	other := imagetest.NewSigner(t, "B", "b@example.com")
	if err := verify(k, "example.com/a", data, other.Sign(t, data)); !errors.Is(err, trust.ErrUnknownKey) || errhint.Of(err) == "" {
		t.Errorf("another key: %v", err)
	}
}

// TestMasks shows in which order directories count.
func TestMasks(t *testing.T) {
	t.Parallel()
	signer := imagetest.NewSigner(t, "A", "a@example.com")
	data, pub := []byte("image"), signer.PublicKey(t)
	sig := signer.Sign(t, data)
	const name = "a.com/x/y"
	for _, tc := range []struct {
		desc       string
		keys       []string
		masks      []string
		trusted    bool
		masksFirst bool
	}{
		{desc: "nothing"},
		{desc: "system root", keys: []string{"system/root.d"}, trusted: true},
		{desc: "system prefix", keys: []string{"system/prefix.d/a.com"}, trusted: true},
		{desc: "local root masks system root", keys: []string{"system/root.d"}, masks: []string{"local/root.d"}},
		{desc: "local prefix masks system root", keys: []string{"system/root.d"}, masks: []string{"local/prefix.d/a.com/x"}},
		{desc: "local prefix masks system prefix", keys: []string{"system/prefix.d/a.com/x/y"}, masks: []string{"local/prefix.d/a.com"}},
		{desc: "local root does not mask a prefix", keys: []string{"system/prefix.d/a.com"}, masks: []string{"local/root.d"}, trusted: true},
		{desc: "system does not mask local", keys: []string{"local/root.d"}, masks: []string{"system/root.d"}, trusted: true},
		{desc: "another prefix's mask", keys: []string{"system/root.d"}, masks: []string{"local/prefix.d/b.com"}, trusted: true},
		{desc: "a longer prefix trusts again", keys: []string{"local/prefix.d/a.com/x"}, masks: []string{"local/prefix.d/a.com"}, trusted: true},
	} {
		k, system, local := newStore(t)
		at := func(dir string) string {
			dir = strings.Replace(dir, "system/", system+"/trustedkeys/", 1)
			dir = strings.Replace(dir, "local/", local+"/trustedkeys/", 1)
			return filepath.Join(dir, key(t, pub).Fingerprint())
		}
		for _, dir := range tc.keys {
			write(t, at(dir), pub)
		}
		for _, dir := range tc.masks {
			write(t, at(dir), nil)
		}
		if err := verify(k, name, data, sig); (err == nil) != tc.trusted {
			t.Errorf("%s: %v", tc.desc, err)
		}
		masked := len(tc.masks) > 0 && !tc.trusted
		if mask, err := k.MaskOf(name, signer.Fingerprint()); err != nil || masked != (mask != "") || masked && mask != at(tc.masks[0]) {
			t.Errorf("%s: the mask is %q, %v", tc.desc, mask, err)
		}
	}
}

func TestBrokenKeystore(t *testing.T) {
	t.Parallel()
	signer := imagetest.NewSigner(t, "A", "a@example.com")
	other := key(t, imagetest.NewSigner(t, "B", "b@example.com").PublicKey(t)).Fingerprint()
	own := key(t, signer.PublicKey(t)).Fingerprint()
	data := []byte("image")
	k, _, local := newStore(t)
	root := filepath.Join(local, "trustedkeys", "root.d")
	write(t, filepath.Join(root, other), signer.PublicKey(t))
	want := `fingerprint mismatch: "` + other + `":"` + own + `"`
	if err := verify(k, "a", data, signer.Sign(t, data)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	write(t, filepath.Join(root, other), []byte("no key"))
	if err := verify(k, "a", data, signer.Sign(t, data)); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("a file that is no key: %v", err)
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	k, _, local := newStore(t)
	signer := imagetest.NewSigner(t, "A", "a@example.com")
	pub := key(t, signer.PublicKey(t))
	path, err := k.AddPrefix("example.com/a", pub)
	want := filepath.Join(local, "trustedkeys/prefix.d/example.com/a", pub.Fingerprint())
	if err != nil || path != want {
		t.Fatalf("%s, %v; want %s", path, err, want)
	}
	if again, err := k.AddPrefix("example.com/a", pub); !errors.Is(err, trust.ErrExists) || again != want {
		t.Errorf("added again: %s, %v", again, err)
	}
	for path, mode := range map[string]os.FileMode{
		want: 0o644, filepath.Dir(want): 0o755, filepath.Join(local, "trustedkeys"): 0o755,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(want)); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
	write(t, want, nil) // masked
	if _, err := k.AddPrefix("example.com/a", pub); err != nil {
		t.Errorf("trusting a masked key again: %v", err)
	}
	if err := verify(k, "example.com/a", []byte("x"), signer.Sign(t, []byte("x"))); err != nil {
		t.Error(err)
	}
	if _, err := k.AddPrefix("../evil", pub); err == nil {
		t.Error("a prefix that is no name was accepted")
	}
	if _, err := trust.Open("/nowhere", "").AddRoot(pub); err == nil {
		t.Error("a key was added nowhere")
	}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	a := imagetest.NewSigner(t, "A", "a@example.com").PublicKey(t)
	b := imagetest.NewSigner(t, "B", "b@example.com").PublicKey(t)
	for desc, in := range map[string][]byte{
		"blocks":            append(bytes.Clone(a), b...),
		"text around":       []byte("My keys:\n" + string(a) + "\nand\n" + string(b) + "\nend"),
		"blank lines apart": append(append(bytes.Clone(a), "\n\n\n"...), b...),
	} {
		keys, err := trust.ReadKeys(bytes.NewReader(in))
		if err != nil || len(keys) != 2 || keys[0].Identities()[0] != "A <a@example.com>" {
			t.Errorf("%s: %d keys, %v", desc, len(keys), err)
		}
	}
	signer := imagetest.NewSigner(t, "A", "a@example.com")
	for desc, in := range map[string]struct{ data, want string }{
		"empty":     {"", "there are 0 public keys"},
		"text":      {"<html></html>", "not a public key"},
		"signature": {string(signer.Sign(t, nil)), `not a public key: it is a "PGP SIGNATURE"`},
		"truncated": {string(a[:len(a)/2]), "not a public key"},
		"huge":      {strings.Repeat("x", 2<<20), "too many"},
		"private":   {"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n", "it is a private key"},
	} {
		if _, err := trust.ReadKeys(strings.NewReader(in.data)); err == nil || !strings.Contains(err.Error(), in.want) {
			t.Errorf("%s: got %v, want %q", desc, err, in.want)
		}
	}
}

// TestMalformedSignatures shows that a signature that cannot be read is told
// from one that is wrong.
func TestMalformedSignatures(t *testing.T) {
	t.Parallel()
	k, _, _ := newStore(t)
	signer := imagetest.NewSigner(t, "A", "a@example.com")
	addRoot(t, k, signer.PublicKey(t))
	data := []byte("image")
	good := signer.Sign(t, data)
	if err := verify(k, "a", data, good); err != nil {
		t.Fatal(err)
	}
	for desc, tc := range map[string]struct {
		sig  []byte
		want error
	}{
		"empty":       {nil, trust.ErrNoSignature},
		"text":        {[]byte("Not Found\n"), trust.ErrNoSignature},
		"html":        {[]byte("<!DOCTYPE html>"), trust.ErrNoSignature},
		"public key":  {signer.PublicKey(t), trust.ErrNoSignature},
		"truncated":   {good[:len(good)/2], trust.ErrMalformedSignature},
		"no body":     {[]byte("-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"), trust.ErrNoSignature},
		"not base64":  {bytes.Replace(good, []byte("\n\n"), []byte("\n\n!!!!\n"), 1), trust.ErrMalformedSignature},
		"binary junk": {[]byte("\xff\xff\xff\xff\xff"), trust.ErrMalformedSignature},
		"huge":        {append(bytes.Clone(good), make([]byte, 1<<20)...), trust.ErrMalformedSignature},
	} {
		if err := verify(k, "a", data, tc.sig); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", desc, err, tc.want)
		}
	}
	if err := verify(k, "a", []byte("imagE"), good); !errors.Is(err, trust.ErrBadSignature) {
		t.Errorf("a changed image: %v", err)
	}
	if err := verify(k, "a", []byte("image and more"), good); !errors.Is(err, trust.ErrBadSignature) {
		t.Errorf("a longer image: %v", err)
	}
}

func TestReview(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	g.run(nil, "--quick-gen-key", "CoreOS ACI Builder <release@coreos.com>", "ed25519", "cert", "never")
	fingerprint := g.fingerprint("release@coreos.com")
	g.run(nil, "--quick-add-key", fingerprint, "ed25519", "sign", "never")
	k := key(t, g.export("release@coreos.com"))
	sub := k.SubkeyFingerprints()
	if len(sub) != 1 || k.Fingerprint() != strings.ToLower(fingerprint) {
		t.Fatalf("%v, %s", sub, k.Fingerprint())
	}
	group := func(s string) string {
		var parts []string
		for i := 0; i < len(s); i += 4 {
			parts = append(parts, strings.ToUpper(s[i:i+4]))
		}
		return strings.Join(parts[:5], " ") + "  " + strings.Join(parts[5:], " ")
	}
	want := "gpg key fingerprint is: " + group(fingerprint) + "\n" +
		"    Subkey fingerprint: " + group(sub[0]) + "\n" +
		"\tCoreOS ACI Builder <release@coreos.com>\n"
	if diff := cmp.Diff(want, k.Review()); diff != "" {
		t.Error(diff)
	}
}
