package vm

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"testing"

	"rkt/internal/image/imagetest"
)

// probeName is the image that most tests run.
const probeName = "example.com/probe"

// fields are parts of a JSON object.
type fields map[string]any

// manifest returns an image manifest for this kind of host that runs the
// probe. Entries of app replace those of its app section.
func manifest(name string, app fields) fields {
	section := fields{"exec": []string{"/probe"}, "user": "0", "group": "0"}
	for key, value := range app {
		section[key] = value
	}
	return fields{
		"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name,
		"labels": []fields{
			{"name": "version", "value": "1.0.0"},
			{"name": "arch", "value": "amd64"},
			{"name": "os", "value": "linux"},
		},
		"app": section,
	}
}

// users are the account files of the probe's image.
func users() []imagetest.Entry {
	return []imagetest.Entry{
		imagetest.Dir("rootfs/etc"),
		imagetest.File("rootfs/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1234:1235:Alice:/home/alice:/bin/sh\n"),
		imagetest.File("rootfs/etc/group", "root:x:0:\nalice:x:1235:\nstaff:x:1300:alice\n"),
	}
}

// probeImage returns an image with the probe and the entries given.
func probeImage(t testing.TB, name string, app fields, entries ...imagetest.Entry) []byte {
	t.Helper()
	text, err := json.Marshal(manifest(name, app))
	if err != nil {
		t.Fatal(err)
	}
	all := append([]imagetest.Entry{imagetest.Program("rootfs/probe", string(shared.probe))}, users()...)
	return imagetest.ACI(t, string(text), append(all, entries...)...)
}

// imageID returns what rkt calls an uncompressed image.
func imageID(image []byte) string {
	sum := sha512.Sum512(image)
	return "sha512-" + hex.EncodeToString(sum[:sha512.Size/2])
}
