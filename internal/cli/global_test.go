package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInsecureOptions(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]insecureOption{
		"none":       0,
		"image,TLS":  insecureImage | insecureTLS,
		"all-run":    insecureCapabilities | insecurePaths | insecureSeccomp,
		"all-fetch":  insecureImage | insecureTLS | insecureHTTP | insecurePubKey,
		"ondisk,all": 1<<9 - 1,
	} {
		var o insecureOptions
		if err := o.Set(value); err != nil || o.set != want {
			t.Errorf("%s: %b, %v; want %b", value, o.set, err, want)
		}
	}
	for value, want := range map[string]string{
		"x":         `unknown option "x"`,
		"":          `unknown option ""`,
		"tls,tls":   `duplicated option "tls"`,
		"image,Foo": `unknown option "foo"`,
	} {
		var o insecureOptions
		if err := o.Set(value); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", value, err, want)
		}
	}
}

func TestDirectoryIsResolved(t *testing.T) {
	t.Parallel()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		base + "/link": base, base + "/missing/../later": base + "/later",
	} {
		var d directory
		if err := d.Set(value); err != nil || string(d) != want {
			t.Errorf("%s: %s, %v; want %s", value, d, err, want)
		}
	}
	var d directory
	if err := d.Set(""); err == nil {
		t.Error("an empty directory is accepted")
	}
}
