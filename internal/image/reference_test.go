package image

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rkt/internal/appc"
)

func TestParse(t *testing.T) {
	t.Parallel()
	isFile := func(s string) bool { return s == "here" || s == "here:too" }
	for in, want := range map[string]Kind{
		"sha512-ab":                         KindHash,
		"sha512-" + strings.Repeat("0", 64): KindHash,
		"/abs/path":                         KindFile,
		"here":                              KindFile,
		"./image":                           KindFile,
		"../image":                          KindFile,
		"etcd.aci":                          KindFile,
		"dir/etcd.aci":                      KindFile,
		"file:///x/etcd.aci":                KindFile,
		"http://a.com/x.aci":                KindURL,
		"https://a.com:8443/x.aci?y":        KindURL,
		"docker://busybox":                  KindDocker,
		"docker:busybox:1.2":                KindDocker,
		"coreos.com/etcd":                   KindName,
		"coreos.com/etcd:v2.0.9":            KindName,
		"my-app:v1":                         KindName,
		"a.com/x:1,os=linux,arch=amd64,channel=beta": KindName,
	} {
		ref, err := parse(in, isFile)
		if err != nil || ref.Kind != want || ref.String() != in {
			t.Errorf("parse(%q) = %+v, %v; want kind %d", in, ref, err, want)
		}
	}
	for _, in := range []string{
		"", "a\x00b", "https://a.com/x", "https:///x.aci", "http://", "file:etcd.aci", "file://host/etcd.aci",
		"docker://", "Etcd", "etcd:", "etcd,version", "etcd:1,version=2", "etcd,name=x", "etcd,os=plan9",
		"etcd,arch=mips", "ftp://a.com/x.aci", "sha512-XYZ",
	} {
		if ref, err := parse(in, isFile); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", in, ref)
		}
	}
}

func TestParseNameLabels(t *testing.T) {
	t.Parallel()
	ref, err := ParseReference("coreos.com/etcd:v2.0.9,channel=beta")
	if err != nil {
		t.Fatal(err)
	}
	_, arch := appc.PlatformLabels(runtime.GOOS, runtime.GOARCH)
	for name, want := range map[string]string{"version": "v2.0.9", "channel": "beta", "os": "linux", "arch": arch} {
		if got, _ := ref.Labels.Get(name); got != want {
			t.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	if ref.Name != "coreos.com/etcd" {
		t.Errorf("name %q", ref.Name)
	}
}

func TestParseReferenceSeesFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("image", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := ParseReference("image")
	if err != nil || ref.Kind != KindFile || filepath.Base(ref.Path) != "image" || !filepath.IsAbs(ref.Path) {
		t.Errorf("%+v, %v", ref, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"sha512-ab", "coreos.com/etcd:v2,os=linux", "https://a/x.aci", "docker://x", "./x", "/a/b", "x.aci", "file:///x.aci", "http://a:80/x.aci?y=z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := parse(s, func(string) bool { return false })
		if err != nil {
			return
		}
		if ref.Kind == KindName {
			if _, err := appc.NewACIdentifier(string(ref.Name)); err != nil {
				t.Errorf("%q gave the name %q", s, ref.Name)
			}
		}
	})
}
