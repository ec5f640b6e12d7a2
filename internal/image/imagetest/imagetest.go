// Package imagetest makes images for tests: archives with any entries, good or
// bad, and keys that sign them.
package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Entry is one entry of an archive. Size and Format of its header are filled
// in.
type Entry struct {
	tar.Header
	Data string
}

// Epoch is the time of entries that name none.
func Epoch() time.Time { return time.Unix(1_400_000_000, 0).UTC() }

// File returns a regular file.
func File(name, data string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, Data: data}
}

// Program returns an executable file.
func Program(name, data string) Entry {
	e := File(name, data)
	e.Mode = 0o755
	return e
}

// Dir returns a directory.
func Dir(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

// Symlink returns a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

// Hardlink returns a hard link.
func Hardlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}

// Device returns a character device.
func Device(name string, major, minor int64) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: name, Devmajor: major, Devminor: minor, Mode: 0o600}}
}

// Fifo returns a named pipe.
func Fifo(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: name, Mode: 0o600}}
}

// Manifest returns the text of an image manifest for the host's platform with
// an app that runs the given command. Fields, such as `"pathWhitelist":[]`,
// are added at its end.
func Manifest(name, version string, exec []string, fields ...string) string {
	quoted := make([]string, len(exec))
	for i, word := range exec {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	app := ""
	if exec != nil {
		app = fmt.Sprintf(`,"app":{"exec":[%s],"user":"0","group":"0"}`, strings.Join(quoted, ","))
	}
	for _, field := range fields {
		app += "," + field
	}
	return fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":%q,"labels":[`+
		`{"name":"version","value":%q},{"name":"arch","value":"amd64"},{"name":"os","value":"linux"}]%s}`,
		name, version, app)
}

// ACI returns an uncompressed image with the given manifest, the directory
// rootfs and the given entries, whose names begin with "rootfs/".
func ACI(t testing.TB, manifest string, entries ...Entry) []byte {
	t.Helper()
	return Tar(t, append([]Entry{File("manifest", manifest), Dir("rootfs")}, entries...)...)
}

// Tar returns an archive of exactly the given entries.
func Tar(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.Format = tar.FormatPAX
		if h.ModTime.IsZero() && h.Typeflag != tar.TypeXGlobalHeader {
			h.ModTime = Epoch()
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.Data))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("entry %q: %v", h.Name, err)
		}
		if _, err := w.Write([]byte(e.Data)); err != nil {
			t.Fatalf("entry %q: %v", h.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Gzip compresses b.
func Gzip(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
