package metadata

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"rkt/internal/errhint"
)

const (
	podManifest = `{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"web","image":{"id":"sha512-` +
		`0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}],"volumes":null,"isolators":null,"annotations":null,"ports":null}`
	imageManifest = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/web"}`
)

func example() *Registration {
	return &Registration{
		UUID: "6733c088-a507-4694-aabf-5bd95ce3f3d7", Token: NewToken(),
		Gateway: netip.MustParseAddr("172.16.28.1"), Sources: []netip.Addr{netip.MustParseAddr("172.16.28.2")},
		Pod: json.RawMessage(podManifest), Images: map[string]json.RawMessage{"web": json.RawMessage(imageManifest)},
	}
}

func TestAddAndRemove(t *testing.T) {
	d := Directory(t.TempDir())
	r := example()
	for range 2 { // again is no error
		if err := d.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Get(r.UUID)
	if err != nil || got.Token != r.Token || string(got.Pod) != podManifest || !d.Has(r.UUID) {
		t.Errorf("got %+v, %v", got, err)
	}
	if pods, err := d.Pods(); err != nil || len(pods) != 1 || pods[0] != r.UUID {
		t.Errorf("registered are %q (%v)", pods, err)
	}
	info, err := os.Stat(d.file(r.UUID))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the token: %v (%v)", info.Mode(), err)
	}
	for range 2 {
		if err := d.Remove(r.UUID); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(d.Registrations()); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
	if _, err := d.Get(r.UUID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if NewToken() == r.Token || len(r.Token) != 32 {
		t.Errorf("token %q", r.Token)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Registration)
		want   string
	}{
		"token":    {func(r *Registration) { r.Token = "abc" }, "token"},
		"uuid":     {func(r *Registration) { r.UUID = "../../etc/passwd" }, "not a UUID"},
		"gateway":  {func(r *Registration) { r.Gateway = netip.IPv4Unspecified() }, "no IPv4 address"},
		"sources":  {func(r *Registration) { r.Sources = nil }, "no IPv4 address"},
		"manifest": {func(r *Registration) { r.Pod = json.RawMessage(`{}`) }, "pod manifest"},
		"image":    {func(r *Registration) { r.Images = nil }, `image manifest of app "web"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := example()
			test.change(r)
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err := Directory(t.TempDir()).Add(r); err == nil {
				t.Error("it was registered")
			}
		})
	}
}

func TestAskNobody(t *testing.T) {
	t.Parallel()
	_, err := Directory(t.TempDir()).Ask(t.Context(), "")
	if err == nil || !strings.HasPrefix(err.Error(), "could not reach the metadata service.") ||
		!strings.Contains(errhint.Of(err), "--mds-register=false") {
		t.Errorf("got %v, hint %q", err, errhint.Of(err))
	}
}

func FuzzParse(f *testing.F) {
	b, err := json.Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"uuid":"6733c088-a507-4694-aabf-5bd95ce3f3d7","images":{"a":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if strings.ContainsAny(r.UUID, "/.") || len(r.Token) != 32 || !r.Gateway.Is4() {
			t.Errorf("accepted %+v", r)
		}
	})
}
