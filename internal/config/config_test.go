package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write fills a directory with files and returns it.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// doc returns a document of one kind.
func doc(kind, fields string) string {
	return fmt.Sprintf(`{"rktVersion": "v1", "rktKind": %q, %s}`, kind, fields)
}

const (
	basic      = `"type": "basic", "credentials": {"user": "u", "password": "p"}`
	oauth      = `"type": "oauth", "credentials": {"token": "t"}`
	awsAuth    = `"type": "aws", "credentials": {"accessKeyID": "id", "secretAccessKey": "key"}`
	awsRegion  = `"type": "aws", "credentials": {"accessKeyID": "id", "secretAccessKey": "key", "awsRegion": "here"}`
	registries = `"registries": ["index.docker.io", "quay.io"], "credentials": {"user": "u", "password": "p"}`
)

func TestRead(t *testing.T) {
	t.Parallel()
	system := write(t, map[string]string{
		"auth.d/basic.json":    doc("auth", `"domains": ["Example.com:443", "example.com:8443"], `+basic),
		"auth.d/docker.json":   doc("dockerAuth", registries),
		"auth.d/aws.json":      doc("auth", `"domains": ["b.s3.amazonaws.com"], `+awsAuth),
		"auth.d/README":        "not JSON",
		"auth.d/more/sub.json": "not JSON",
		"paths.d/paths.json":   doc("paths", `"data": "/system/data/", "stage1-images": "/system/images"`),
		"stage1.d/stage1.json": doc("stage1", `"name": "example.com/system", "version": "1", "location": "https://example.com/s.aci"`),
	})
	if err := os.Symlink("/etc/passwd", filepath.Join(system, "auth.d/link.json")); err != nil {
		t.Fatal(err)
	}
	local := write(t, map[string]string{
		"auth.d/a.json":   doc("auth", `"domains": ["example.com"], `+oauth),
		"auth.d/b.json":   doc("auth", `"domains": ["[::1]:8443", "[::1]"], `+awsRegion),
		"paths.d/a.json":  doc("paths", `"data": "/local/data"`),
		"paths.d/b.json":  doc("paths", `"stage1-images": ""`),
		"stage1.d/a.json": doc("stage1", `"location": "/local/stage1.aci"`),
	})
	user := write(t, map[string]string{"stage1.d/a.json": doc("stage1", `"name": "example.com/user", "version": "2"`)})
	got, err := Dirs{system, local, user}.All()
	if err != nil {
		t.Fatal(err)
	}
	basicAuth := Auth{Type: AuthBasic, User: "u", Password: "p"}
	aws := Auth{Type: AuthAWS, AccessKeyID: "id", SecretAccessKey: "key", Region: "here"}
	want := &Config{
		Auth: map[string]Auth{
			"example.com": {Type: AuthOAuth, Token: "t"}, "example.com:8443": basicAuth,
			"b.s3.amazonaws.com": {Type: AuthAWS, AccessKeyID: "id", SecretAccessKey: "key"}, "[::1]": aws, "[::1]:8443": aws,
		},
		DockerAuth: map[string]DockerAuth{"index.docker.io": {"u", "p"}, "quay.io": {"u", "p"}},
		Paths:      Paths{Data: "/local/data", Stage1Images: "/system/images"},
		Stage1:     Stage1{Name: "example.com/user", Version: "2", Location: "/local/stage1.aci"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOneKind shows that who wants to know one thing is not kept from it by what
// is wrong with another.
func TestOneKind(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"auth.d/a.json":   "broken",
		"paths.d/a.json":  doc("paths", `"data": "/data"`),
		"stage1.d/a.json": doc("stage1", `"location": "docker://busybox"`),
	})
	dirs := Dirs{"", dir, filepath.Join(dir, "missing")}
	if p, err := dirs.Paths(); err != nil || p.Data != "/data" {
		t.Errorf("%+v, %v", p, err)
	}
	if s, err := dirs.Stage1(); err != nil || s.Location != "docker://busybox" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, read := range []func() (*Config, error){dirs.Auth, dirs.All} {
		want := "read configuration: " + dir + "/auth.d/a.json: line 1: not valid JSON"
		if _, err := read(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	domains := `"domains": ["example.com"], `
	for _, test := range []struct{ dir, text, want string }{
		{"auth.d", ``, `line 1: not valid JSON`},
		{"auth.d", "{\n\n\"a\": hunter2}", `line 3: not valid JSON`},
		{"auth.d", "{}\n{}", `line 2: not valid JSON`},
		{"auth.d", "[]", `line 1: is an array, must be an object`},
		{"auth.d", "\"\xff\"", `it is not valid UTF-8`},
		{"auth.d", strings.Repeat(" ", maxFile+1), `it has more than 1048576 bytes`},
		{"auth.d", strings.Repeat("[", 9) + strings.Repeat("]", 9), `line 1: [0][0][0][0][0][0][0][0]: nested deeper than 8 levels`},
		{"auth.d", "{\"rktKind\": \"auth\",\n\"rktKind\": \"auth\"}", `line 2: rktKind: given twice`},
		{"auth.d", `{"rktKind": "auth"}`, `line 1: rktVersion: missing`},
		{"auth.d", `{"rktVersion": "v1"}`, `line 1: rktKind: missing`},
		{"auth.d", `{"rktKind": "", "rktVersion": "v1"}`, `line 1: rktKind: must not be empty`},
		{"auth.d", `{"rktKind": "auht", "rktVersion": "v1"}`, `line 1: rktKind: "auht" is none of auth, dockerAuth, paths, stage1, isolation, images`},
		{"auth.d", `{"rktKind": "auth", "rktVersion": "v2"}`, `line 1: rktVersion: "v2" of the kind "auth" is unknown, must be "v1"`},
		{"auth.d", doc("paths", `"data": "/"`), `line 1: rktKind: "paths" does not belong into auth.d, only auth and dockerAuth`},
		{"stage1.d", doc("auth", domains+basic), `line 1: rktKind: "auth" does not belong into stage1.d, only stage1 and isolation`},

		{"auth.d", doc("auth", basic), `line 1: domains: missing`},
		{"auth.d", doc("auth", "\n\"domains\": \"a\", "+basic), `line 2: domains: is a string, must be an array`},
		{"auth.d", doc("auth", `"domains": [], `+basic), `line 1: domains: must not be empty`},
		{"auth.d", doc("auth", `"domains": ["a", 7], `+basic), `line 1: domains[1]: is a number, must be a string`},
		{"auth.d", doc("auth", `"domains": ["a", ""], `+basic), `line 1: domains[1]: must not be empty`},
		{"auth.d", doc("auth", `"domains": ["https://a"], `+basic), `line 1: domains[0]: "https://a" is not a host, or a host and a port`},
		{"auth.d", doc("auth", `"domains": ["u:hunter2@a"], `+basic), `line 1: domains[0]: what is there is not a host, or a host and a port`},
		{"auth.d", doc("auth", `"domains": ["a:99999"], `+basic), `line 1: domains[0]: "a:99999" is not a host, or a host and a port`},
		{"auth.d", doc("auth", `"domains": ["*.a"], `+basic), `line 1: domains[0]: "*.a" is not a host, or a host and a port`},
		{"auth.d", doc("auth", `"domain": ["a"], `+basic), `line 1: domain: there is no such field; there are rktVersion, rktKind, domains, type, credentials`},
		{"auth.d", doc("auth", `"domains": ["a", "A:443"], `+basic), `line 1: domains[1]: credentials for a: already in broken.json`},
		{"auth.d", doc("auth", domains+`"credentials": {}`), `line 1: type: missing`},
		{"auth.d", doc("auth", domains+`"type": "basic"`), `line 1: credentials: missing`},
		{"auth.d", doc("auth", domains+`"type": "basic", "credentials": null`), `line 1: credentials: is null, must be an object`},
		{"auth.d", doc("auth", domains+`"type": "magic", "credentials": {}`), `line 1: type: "magic" is none of basic, oauth, aws`},
		{"auth.d", doc("auth", domains+"\"type\": \"basic\",\n\"credentials\":\n{\"user\": \"u\",\n\"password\": 1234}"), `line 4: credentials.password: is a number, must be a string`},
		{"auth.d", doc("auth", domains+`"type": "basic", "credentials": {"user": "u"}`), `line 1: credentials.password: missing`},
		{"auth.d", doc("auth", domains+`"type": "basic", "credentials": {"password": "hunter2"}`), `line 1: credentials.user: missing`},
		{"auth.d", doc("auth", domains+`"type": "basic", "credentials": {"user": "", "password": "hunter2"}`), `line 1: credentials.user: must not be empty`},
		{"auth.d", doc("auth", domains+`"type": "basic", "credentials": {"token": "hunter2"}`), `line 1: credentials.token: there is no such field; there are user, password`},
		{"auth.d", doc("auth", domains+`"type": "oauth", "credentials": {"token": true}`), `line 1: credentials.token: is true or false, must be a string`},
		{"auth.d", doc("auth", domains+`"type": "oauth", "credentials": {"token": "hunter2\n"}`), `line 1: credentials.token: has characters that can't be in a token`},
		{"auth.d", doc("auth", domains+`"type": "oauth", "credentials": {"user": "u"}`), `line 1: credentials.user: there is no such field; there are token`},
		{"auth.d", doc("auth", domains+awsAuth), `line 1: domains[0]: "example.com" does not say in which region it is, and awsRegion is missing`},
		{"auth.d", doc("auth", domains+`"type": "aws", "credentials": {"accessKeyID": "id"}`), `line 1: credentials.secretAccessKey: missing`},
		{"auth.d", doc("auth", domains+`"type": "aws", "credentials": {"secretAccessKey": "hunter2"}`), `line 1: credentials.accessKeyID: missing`},
		{"auth.d", doc("auth", domains+`"type": "aws", "credentials": {"token": "hunter2"}`), `line 1: credentials.token: there is no such field; there are accessKeyID, secretAccessKey, awsRegion`},
		{"auth.d", doc("dockerAuth", `"registries": ["a"]`), `line 1: credentials: missing`},
		{"auth.d", doc("dockerAuth", `"registries": ["a"], `+basic), `line 1: type: there is no such field; there are rktVersion, rktKind, registries, credentials`},
		{"auth.d", doc("dockerAuth", `"credentials": {"user": "u", "password": "p"}`), `line 1: registries: missing`},

		{"images.d", doc("images", `"maxSize": ""`), `line 1: maxSize: must not be empty`},
		{"images.d", doc("images", `"maxSize": 7`), `line 1: maxSize: is a number, must be a string`},
		{"images.d", doc("images", "\n"+`"maxSize": "lots"`), `line 2: maxSize: "lots" is not a quantity such as 16Mi, 1G or 500m`},
		{"images.d", doc("images", `"maxSize": "0"`), `line 1: maxSize: must be more than nothing`},
		{"images.d", doc("images", `"maxsize": "1"`), `line 1: maxsize: there is no such field; there are rktVersion, rktKind, maxSize`},
		{"paths.d", doc("paths", `"data": "var"`), `line 1: data: "var" is not an absolute path`},
		{"paths.d", doc("paths", `"stage1-images": 1`), `line 1: stage1-images: is a number, must be a string`},
		{"paths.d", doc("paths", `"stage1": "/"`), `line 1: stage1: there is no such field; there are rktVersion, rktKind, data, stage1-images`},
		{"stage1.d", doc("stage1", `"name": "a"`), `line 1: name: there is a name, but no version`},
		{"stage1.d", doc("stage1", `"version": "1"`), `line 1: version: there is a version, but no name`},
		{"stage1.d", doc("stage1", `"name": "A", "version": "1"`), `line 1: name: AC identifier "A" has the invalid character 'A'`},
		{"stage1.d", doc("stage1", `"name": [], "version": "1"`), `line 1: name: is an array, must be a string`},
		{"stage1.d", doc("stage1", `"path": "/"`), `line 1: path: there is no such field; there are rktVersion, rktKind, name, version, location`},
		{"stage1.d", doc("stage1", `"location": "a.aci"`), `line 1: location: default stage1 image location is either a relative path or a URL without scheme: "a.aci"`},
		{"stage1.d", doc("stage1", `"location": "ftp://a/a.aci"`), `line 1: location: "ftp://a/a.aci" has the unknown scheme "ftp", must be file, http, https or docker`},
	} {
		dir := write(t, map[string]string{test.dir + "/broken.json": test.text})
		_, err := Dirs{Local: dir}.All()
		want := "read configuration: " + dir + "/" + test.dir + "/broken.json: " + test.want
		if err == nil || err.Error() != want {
			t.Errorf("%.100s\n got %v\nwant %s", test.text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("it gives the secret away: %v", err)
		}
	}
}

func TestTwiceInADirectory(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ dir, one, other, want string }{
		{"auth.d", doc("auth", `"domains": ["a"], `+basic), doc("auth", `"domains": ["b", "a"], `+oauth), `domains[1]: credentials for a: already in 1.json`},
		{"auth.d", doc("dockerAuth", registries), doc("dockerAuth", registries), `registries[0]: credentials for the registry index.docker.io: already in 1.json`},
		{"paths.d", doc("paths", `"data": "/a"`), doc("paths", `"data": "/a"`), `data: the path data: already in 1.json`},
		{"stage1.d", doc("stage1", `"location": "/a"`), doc("stage1", `"location": "/b"`), `location: the location of the stage1 image: already in 1.json`},
		{"stage1.d", doc("stage1", `"name": "a", "version": "1"`), doc("stage1", `"name": "b", "version": "2"`), `name: the name and version of the stage1 image: already in 1.json`},
	} {
		dir := write(t, map[string]string{test.dir + "/1.json": test.one, test.dir + "/2.json": test.other})
		_, err := Dirs{User: dir}.All()
		want := "read configuration: " + dir + "/" + test.dir + "/2.json: line 1: " + test.want
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"auth.d/a.json": "{}", "file": ""})
	if c, err := (Dirs{System: filepath.Join(dir, "file")}).All(); err != nil || len(c.Auth) > 0 {
		t.Errorf("a file in the place of a directory: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "auth.d/a.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(filepath.Join(dir, "auth.d/a.json")); err == nil || err.Error() != "no such file or directory" {
		t.Errorf("got %v", err)
	}
	if _, err := readFile(dir); err == nil {
		t.Error("a directory was read as a file")
	}
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	auth := Auth{Type: AuthBasic, User: "u", Password: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, auth); strings.Contains(text, "hunter2") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

// accepted holds an input for everything that a file may say.
func accepted() []struct{ dir, text string } {
	return []struct{ dir, text string }{
		{authDir, doc("auth", `"domains": ["example.com", "example.com:8443", "[::1]:1"], `+basic)},
		{authDir, doc("auth", `"domains": ["example.com"], `+oauth)},
		{authDir, doc("auth", `"domains": ["b.s3.eu-west-1.amazonaws.com"], `+awsAuth)},
		{authDir, doc("auth", `"domains": ["example.com"], `+awsRegion)},
		{authDir, doc("dockerAuth", registries)},
		{pathsDir, doc("paths", `"data": "/data", "stage1-images": "/images"`)},
		{stage1Dir, doc("stage1", `"name": "a/b", "version": "1", "location": "/a"`)},
		{stage1Dir, doc("stage1", `"location": "https://a/b.aci"`)},
		{stage1Dir, doc("isolation", `"require": "kvm"`)},
		{imagesDir, doc("images", `"maxSize": "1.5Gi"`)},
	}
}

// FuzzParse shows that what was understood can be written down and is then
// understood in the same way.
func FuzzParse(f *testing.F) {
	for _, input := range accepted() {
		if _, err := parse([]byte(input.text), input.dir); err != nil {
			f.Fatalf("%s: %v", input.text, err)
		}
		f.Add(input.dir, []byte(input.text))
	}
	f.Fuzz(func(t *testing.T, dir string, b []byte) {
		settings, err := parse(b, dir)
		if err != nil {
			return
		}
		got, again := apply(settings), apply(nil)
		for _, document := range got.Documents() {
			text, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			var kind struct {
				Kind string `json:"rktKind"`
			}
			if err := json.Unmarshal(text, &kind); err != nil {
				t.Fatal(err)
			}
			dir := map[string]string{
				kindAuth: authDir, kindDockerAuth: authDir, kindPaths: pathsDir, kindStage1: stage1Dir,
				kindIsolation: stage1Dir, kindImages: imagesDir,
			}[kind.Kind]
			settings, err := parse(text, dir)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, s := range settings {
				s.apply(again)
			}
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("%s\n%s", b, diff)
		}
	})
}

func apply(settings []setting) *Config {
	c := &Config{Auth: make(map[string]Auth), DockerAuth: make(map[string]DockerAuth)}
	for _, s := range settings {
		s.apply(c)
	}
	return c
}
