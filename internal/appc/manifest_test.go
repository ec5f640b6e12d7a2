package appc_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/appc"
)

const minimal = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/a"}`

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImageManifestOrder shows that a manifest with every field in a shuffled
// order is written in the one order there is.
func TestImageManifestOrder(t *testing.T) {
	t.Parallel()
	m, err := appc.ParseImageManifest(readTestdata(t, "image.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := string(bytes.TrimSpace(readTestdata(t, "image.golden")))
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	again, err := appc.ParseImageManifest(got)
	if diff := cmp.Diff(m, again); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestPodManifestOrder(t *testing.T) {
	t.Parallel()
	m, err := appc.ParsePodManifest(readTestdata(t, "pod.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := string(bytes.TrimSpace(readTestdata(t, "pod.golden")))
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	empty, err := json.Marshal(appc.PodManifest{ACVersion: "1.0.0", ACKind: appc.PodManifestKind})
	if err != nil {
		t.Fatal(err)
	}
	const wantEmpty = `{"acVersion":"1.0.0","acKind":"PodManifest","apps":null,"volumes":null,"isolators":null,"annotations":null,"ports":null}`
	if string(empty) != wantEmpty {
		t.Errorf("an empty pod is %s", empty)
	}
}

func TestMinimalImageManifest(t *testing.T) {
	t.Parallel()
	m, err := appc.ParseImageManifest([]byte(" " + minimal + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "example.com/a" || m.Version() != "latest" || m.App != nil {
		t.Errorf("%+v", m)
	}
}

// with returns the minimal manifest with one more field.
func with(field string) string { return strings.TrimSuffix(minimal, "}") + "," + field + "}" }

// withApp returns the minimal manifest with an app that has one more field.
func withApp(field string) string {
	return with(`"app":{"exec":["/a"],"user":"0","group":"0",` + field + `}`)
}

func TestImageManifestErrors(t *testing.T) {
	t.Parallel()
	for manifest, want := range map[string]string{
		``:                                   "line 1, column 1: unexpected end of JSON input",
		`null`:                               "acKind: missing",
		`[]`:                                 "array where an object is expected",
		minimal + "x":                        "after top-level value",
		minimal + minimal:                    "after top-level value",
		"{\n  \"acKind\": }":                 "line 2, column 13: invalid character '}'",
		minimal[:20]:                         "unexpected end of JSON input",
		"\xff":                               "not valid UTF-8",
		strings.Repeat(" ", 1<<20) + minimal: "larger than 1048576 bytes",
		strings.Replace(minimal, "ImageManifest", "PodManifest", 1): `acKind: is "PodManifest", must be "ImageManifest"`,
		strings.Replace(minimal, "0.8.11", "0.8", 1):                "acVersion: ",
		strings.Replace(minimal, "0.8.11", "", 1):                   "acVersion: missing",
		strings.Replace(minimal, "example.com/a", "", 1):            "name: missing",
		strings.Replace(minimal, "example.com/a", "Example", 1):     "name: AC identifier",
		strings.Replace(minimal, `"example.com/a"`, "3", 1):         "name: a JSON number where a string is expected",
		with(`"name":"b"`): "name: given twice",
		with(`"labels":[{"name":"os","value":"linux"},{"name":"os","value":"linux"}]`):           `labels[1]: the name "os" is there twice`,
		with(`"labels":[{"name":"name","value":"x"}]`):                                           "labels[0].name: ",
		with(`"labels":[{"name":"Os","value":"x"}]`):                                             "labels[0].name: ",
		with(`"labels":{"os":"linux"}`):                                                          "labels: a JSON object where an array is expected",
		with(`"annotations":[{"name":"created","value":"yesterday"}]`):                           "annotations[0].value: ",
		with(`"annotations":[{"name":"homepage","value":"javascript:x"}]`):                       "annotations[0].value: ",
		with(`"dependencies":[{"imageName":""}]`):                                                "dependencies[0].imageName: missing",
		with(`"dependencies":[{"imageName":"a","imageID":"sha512-00"}]`):                         "dependencies[0].imageID: ",
		with(`"dependencies":[{"imageName":"a","size":-1}]`):                                     "dependencies.size: a JSON number -1 where a whole number from 0 on",
		with(`"pathWhitelist":["usr"]`):                                                          `pathWhitelist[0]: "usr" is not an absolute path`,
		with(`"pathWhitelist":["/a/../b"]`):                                                      `pathWhitelist[0]: `,
		with(`"app":{"exec":["/a"],"group":"0"}`):                                                "app.user: missing",
		with(`"app":{"exec":["/a"],"user":"0"}`):                                                 "app.group: missing",
		with(`"app":{"exec":[""],"user":"0","group":"0"}`):                                       "app.exec[0]: must not be empty",
		with(`"app":{"exec":"/a","user":"0","group":"0"}`):                                       "app.exec: a JSON string where an array is expected",
		with(`"app":{"exec":["/a","\u0000"],"user":"0","group":"0"}`):                            "app.exec[1]: has a NUL",
		withApp(`"workingDirectory":"tmp"`):                                                      "app.workingDirectory: ",
		withApp(`"environment":[{"name":"1A","value":""}]`):                                      "app.environment[0].name: ",
		withApp(`"environment":[{"name":"A=B","value":""}]`):                                     "app.environment[0].name: ",
		withApp(`"supplementaryGIDs":[-1]`):                                                      "app.supplementaryGIDs[0]: ",
		withApp(`"mountPoints":[{"name":"a","path":"b"}]`):                                       "app.mountPoints[0].path: ",
		withApp(`"mountPoints":[{"name":"a","path":"/b"},{"name":"a","path":"/c"}]`):             "app.mountPoints[1]: ",
		withApp(`"mountPoints":[{"name":"a","path":"/../b"}]`):                                   "app.mountPoints[0].path: ",
		withApp(`"ports":[{"name":"a","protocol":"tcp","port":0}]`):                              "app.ports[0].port: ",
		withApp(`"ports":[{"name":"a","protocol":"tcp","port":65535,"count":2}]`):                "app.ports[0].port: ",
		withApp(`"ports":[{"name":"a","protocol":"tcp","port":1,"count":18446744073709551615}]`): "app.ports[0].port: ",
		withApp(`"ports":[{"name":"a","port":1}]`):                                               "app.ports[0].protocol: missing",
		withApp(`"ports":[{"name":"A","protocol":"tcp","port":1}]`):                              "app.ports[0].name: ",
		withApp(`"eventHandlers":[{"name":"mid-run","exec":["/a"]}]`):                            "app.eventHandlers[0].name: unrecognized eventHandler: mid-run",
		withApp(`"eventHandlers":[{"name":"pre-start","exec":[]}]`):                              "app.eventHandlers[0].exec: ",
		with(`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)):                         "nested deeper than 32 levels",
		with(`"app":{"exec":["/a"],"user":"0","group":"0","userLabels":{"a":"1","a":"2"}}`):      "app.userLabels.a: given twice",
		with(`"app":{"exec":["/a"],"user":"a:b","group":"0"}`):                                   "app.user: ",
	} {
		_, err := appc.ParseImageManifest([]byte(manifest))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "invalid image manifest: ") {
			t.Errorf("%.200s:\n got %v\nwant %s", manifest, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("the error has several lines: %q", err)
		}
	}
}

func TestPodManifestErrors(t *testing.T) {
	t.Parallel()
	pod := func(rest string) string { return `{"acVersion":"1.0.0","acKind":"PodManifest",` + rest + `}` }
	id := "sha512-" + strings.Repeat("0", 64)
	app := func(rest string) string { return pod(`"apps":[{"name":"a","image":{"id":"` + id + `"}` + rest + `}]`) }
	if _, err := appc.ParsePodManifest([]byte(app(""))); err != nil {
		t.Error(err)
	}
	for manifest, want := range map[string]string{
		minimal: "acKind: ",
		pod(`"apps":[{"name":"a","image":{"id":"sha512-00"}}]`):                    "apps[0].image.id: ",
		app(`},{"name":"a","image":{"id":"` + id + `"}`):                           `apps: multiple apps with same name a`,
		app(`,"app":{"exec":[]}`):                                                  "apps[0].app.user: missing",
		app(`,"mounts":[{"volume":"v","path":"x"}]`):                               "apps[0].mounts[0].path: ",
		app(`,"mounts":[{"volume":"v","path":"/x","appVolume":{"name":"v"}}]`):     "apps[0].mounts[0].appVolume.kind: ",
		pod(`"volumes":[{"name":"v","kind":"host","source":"x"}]`):                 "volumes[0].source: source for host volume must be absolute path",
		pod(`"volumes":[{"name":"v","kind":"host","source":"/x","mode":"0"}]`):     "volumes[0].mode: ",
		pod(`"volumes":[{"name":"v","kind":"host","source":"/x","uid":0}]`):        "volumes[0].uid: ",
		pod(`"volumes":[{"name":"v","kind":"host","source":"/x","gid":0}]`):        "volumes[0].gid: ",
		pod(`"volumes":[{"name":"v","kind":"empty","source":"/x"}]`):               "volumes[0].source: ",
		pod(`"volumes":[{"name":"v","kind":"empty","mode":"9"}]`):                  "volumes[0].mode: ",
		pod(`"volumes":[{"name":"v","kind":"empty","uid":-1}]`):                    "volumes[0].uid: ",
		pod(`"volumes":[{"name":"v","kind":"tape"}]`):                              "volumes[0].kind: ",
		pod(`"volumes":[{"name":"v","kind":"empty"},{"name":"v","kind":"empty"}]`): "volumes[1]: ",
		pod(`"ports":[{"name":"p","hostPort":0}]`):                                 "ports[0].hostPort: ",
		pod(`"ports":[{"name":"p","hostPort":1,"hostIP":"x"}]`):                    "ports[0].hostIP: ",
	} {
		_, err := appc.ParsePodManifest([]byte(manifest))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", manifest, err, want)
		}
	}
}

func TestCheckPlatform(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ os, arch, want string }{
		{"linux", "amd64", ""},
		{"linux", "aarch64", ""},
		{"", "amd64", "missing os label in the image manifest"},
		{"linux", "", "missing arch label in the image manifest"},
		{"freebsd", "amd64", `bad os "freebsd" (must be one of: [linux])`},
		{"linux", "arm64", `bad arch "arm64" for linux (must be one of: [amd64 i386 aarch64 aarch64_be armv6l armv7l armv7b ppc64le])`},
	} {
		var labels appc.Labels
		if tc.os != "" {
			labels = append(labels, appc.Label{Name: "os", Value: tc.os})
		}
		if tc.arch != "" {
			labels = append(labels, appc.Label{Name: "arch", Value: tc.arch})
		}
		var got string
		if err := labels.CheckPlatform(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s/%s: %q, want %q", tc.os, tc.arch, got, tc.want)
		}
	}
}

func FuzzParseImageManifest(f *testing.F) {
	f.Add(readTestdata(f, "image.json"))
	f.Add([]byte(minimal))
	f.Add([]byte(withApp(`"isolators":[{"name":"resource/memory","value":{"limit":"1G"}}]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := appc.ParseImageManifest(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := appc.ParseImageManifest(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if out2, err := json.Marshal(again); err != nil || !bytes.Equal(out, out2) {
			t.Errorf("%s became %s, %v", out, out2, err)
		}
	})
}

func FuzzParsePodManifest(f *testing.F) {
	f.Add(readTestdata(f, "pod.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := appc.ParsePodManifest(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := appc.ParsePodManifest(out); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	})
}
