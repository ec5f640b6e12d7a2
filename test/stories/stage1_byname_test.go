package stories_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

const (
	stage1Name    = "coreos.com/rkt/stage1-kvm"
	stage1Release = "github.com/rkt/rkt/releases/download/v2.0.0/stage1-kvm-linux-amd64.aci"
	stage1Keys    = "coreos.com/dist/pubkeys/app-signing-pubkey.gpg"
	stage1Page    = `<html><head>
<meta name="ac-discovery" content="coreos.com/rkt/stage1-kvm https://github.com/rkt/rkt/releases/download/v{version}/stage1-kvm-{os}-{arch}.{ext}">
<meta name="ac-discovery-pubkeys" content="coreos.com/rkt https://coreos.com/dist/pubkeys/app-signing-pubkey.gpg">
</head></html>
`
)

// newStage1World returns a place where a stage1 image can be had by its name, and
// where that of a build is of no use.
func newStage1World(t *testing.T, p programs) (w *world, aci []byte) {
	t.Helper()
	w = &world{place: place{programs: p, dir: t.TempDir()}, signer: imagetest.NewSigner(t, "rkt", "release@example.com")}
	w.site = filepath.Join(w.dir, "site")
	program, err := os.ReadFile(filepath.Join(filepath.Dir(p.rkt), "stage1-script"))
	if err != nil {
		t.Fatal(err)
	}
	aci = imagetest.Gzip(t, imagetest.ACI(t, imagetest.Manifest(stage1Name, "2.0.0", nil, stage1Annotations),
		imagetest.Program("rootfs/stage1", string(program)), imagetest.Symlink("rootfs/run", "stage1"),
		imagetest.Symlink("rootfs/stop", "stage1"), imagetest.Symlink("rootfs/gc", "stage1")))
	w.publish(t, "coreos.com/rkt/stage1-kvm/index.html", []byte(stage1Page))
	w.publish(t, "coreos.com/rkt/index.html", []byte(stage1Page))
	w.publish(t, stage1Keys, w.signer.PublicKey(t))
	w.publish(t, stage1Release, aci)
	w.publish(t, stage1Release+".asc", w.signer.Sign(t, aci))
	w.steps(t, []step{{"trust --root --skip-fingerprint-review " + p.images + "/key", 0, "Added root key"}})
	return w, aci
}

// stage1ByName goes from a stage1 image's name to a pod in it, on an empty store.
func stage1ByName(t *testing.T, p programs) {
	t.Helper()
	w, aci := newStage1World(t, p)
	run := "run --stage1-name=" + stage1Name + ":2.0.0 " + p.images + "/app.aci"
	unknown := `(?m)^run: stage1 image "` + stage1Name + `:2.0.0": .*openpgp: signature made by unknown entity`
	w.steps(t, []step{
		// The key for apps is for all images, but has not made this signature.
		{run, 254, unknown},
		{"--insecure-options=image " + run, 254, unknown},
		{"trust --prefix=coreos.com/rkt --skip-fingerprint-review", 0, `Added key for prefix "coreos.com/rkt"`},
		{run, 0, `(?m)^image: searching for app image ` + stage1Name + `:2.0.0$`},
		{"run --stage1-name=" + stage1Name + ":2.0.1 " + p.images + "/app.aci", 254, `: bad HTTP status code: 404`},
	})
	// From now on nobody has to be asked.
	if out := w.must(t, strings.Fields(run)...); !strings.Contains(out, "stage1 run ") {
		t.Errorf("got %s", out)
	}

	for _, change := range []struct {
		what string
		do   func(w *world)
		want string
	}{
		{"tampered", func(w *world) {
			changed := bytes.Clone(aci)
			changed[len(changed)/2] ^= 1
			w.publish(t, stage1Release, changed)
		}, `: openpgp: bad signature: the image is not what was signed`},
		{"unsigned", func(w *world) {
			if err := os.Remove(filepath.Join(w.site, stage1Release+".asc")); err != nil {
				t.Fatal(err)
			}
		}, `: image has no signature: .*404\nhint: sign the stage1 image, or accept it with --insecure-options=stage1\n$`},
		{"another image", func(w *world) {
			app, err := os.ReadFile(p.images + "/app.aci")
			if err != nil {
				t.Fatal(err)
			}
			w.publish(t, stage1Release, app)
			w.publish(t, stage1Release+".asc", w.signer.Sign(t, app))
		}, `.`},
	} {
		t.Run(change.what, func(t *testing.T) {
			w, _ := newStage1World(t, p)
			w.steps(t, []step{{"trust --prefix=coreos.com/rkt --skip-fingerprint-review", 0, "Added key"}})
			change.do(w)
			for _, options := range []string{"", "--insecure-options=image "} {
				w.steps(t, []step{{options + run, 254, change.want}})
			}
			if images := w.must(t, "image", "list", "--no-legend"); images != "" {
				t.Errorf("stored: %s", images)
			}
			if err := leftovers(w.dir + "/data"); err != nil {
				t.Error(err)
			}
		})
	}
}
