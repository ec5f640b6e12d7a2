package podmanifest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"rkt/internal/appc"
	"rkt/internal/cli/appargs"
	"rkt/internal/cli/podmanifest"
)

var id = "sha512-" + strings.Repeat("ab", 32)

const platform = `"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}]`

// image returns the manifest of an image with the given fields.
func image(t *testing.T, name, fields string) *appc.ImageManifest {
	t.Helper()
	text := fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":%q%s}`, name, fields)
	m, err := appc.ParseImageManifest([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// build makes a manifest of images as the words on a command line order them.
func build(t *testing.T, words string, o podmanifest.Options, images ...*appc.ImageManifest) (*appc.PodManifest, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	parser := new(appargs.Parser)
	parser.AddFlags(flags)
	if err := parser.Parse(strings.Fields(words), flags); err != nil {
		t.Fatal(err)
	}
	var apps []podmanifest.App
	for i, args := range parser.Apps {
		apps = append(apps, podmanifest.App{Args: args, ID: id, Image: images[i]})
	}
	o.Version = "1.2.3+git"
	return podmanifest.Build(apps, o)
}

func TestBuildWritesFieldsInOrder(t *testing.T) {
	t.Parallel()
	m, err := build(t, "i --name=n -- x", podmanifest.Options{},
		image(t, "example.com/i", ","+platform+`,"app":{"exec":["/bin/i"],"user":"0","group":"0"}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"acVersion":"1.2.3+git","acKind":"PodManifest","apps":[{"name":"n","image":{"name":"example.com/i","id":"` +
		id + `",` + platform + `},"app":{"exec":["/bin/i","x"],"user":"0","group":"0"}}],"volumes":null,"isolators":null,` +
		`"annotations":[{"name":"coreos.com/rkt/stage1/mutable","value":"false"}],"ports":null}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestBuildOverrides(t *testing.T) {
	t.Parallel()
	full := image(t, "example.com/my_app.x", ","+platform+`,"app":{"exec":["/bin/i","-a"],"user":"1","group":"2",
		"workingDirectory":"/w","isolators":[{"name":"resource/memory","value":{"limit":"1G"}},
		{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL"]}}],
		"userLabels":{"a":"1","b":"2"}}`)
	bare := image(t, "example.com/bare", ","+platform)
	m, err := build(t, "f --exec=/other --user=u --group=g --working-dir=/v --memory=16Mi --cpu=500m --cpu-shares=7"+
		" --oom-score-adj=-5 --caps-remove=CAP_CHOWN --supplementary-gids=4,5 --readonly-rootfs=true"+
		" --user-label=b=3 --annotation=x=y -- -z --- b --exec=/e",
		podmanifest.Options{UID: 17, GID: 18}, full, bare)
	if err != nil {
		t.Fatal(err)
	}
	first, second := m.Apps[0], m.Apps[1]
	if second.Name != "bare" || second.App.User != "17" || second.App.Group != "18" {
		t.Errorf("app of an image without a section: %+v, %+v", second, second.App)
	}
	if limit, _ := first.App.Isolators.MemoryLimit(); limit != 16<<20 {
		t.Errorf("memory limit %d", limit)
	}
	if limit, _ := first.App.Isolators.CPULimit(); limit != 500 {
		t.Errorf("cpu limit %d", limit)
	}
	caps, err := first.App.Isolators.Capabilities()
	if err != nil || len(caps) != 13 {
		t.Errorf("capabilities %v, %v", caps, err)
	}
	first.App.Isolators = nil
	want := appc.App{
		Exec: []string{"/other", "-z"}, User: "u", Group: "g", WorkingDirectory: "/v",
		SupplementaryGIDs: []int{4, 5}, UserLabels: map[string]string{"a": "1", "b": "3"},
	}
	if diff := cmp.Diff(want, *first.App); diff != "" {
		t.Error(diff)
	}
	if value, _ := first.Annotations.Get("x"); value != "y" || !first.ReadOnlyRootFS || first.Name != "my-app-x" {
		t.Errorf("runtime app: %+v", first)
	}
	if full.App.UserLabels["b"] != "2" || full.App.Exec[0] != "/bin/i" || len(full.App.Isolators) != 2 {
		t.Error("the image's own manifest was changed")
	}
}

func TestBuildEnvironment(t *testing.T) {
	t.Parallel()
	m, err := build(t, "i --environment=B=flag --environment=C=flag --environment=D=flag", podmanifest.Options{
		Inherited:     []appargs.Pair{{Name: "A", Value: "inherited"}, {Name: "E", Value: "inherited"}},
		FileVariables: []appargs.Pair{{Name: "C", Value: "file"}, {Name: "D", Value: "file"}, {Name: "E", Value: "file"}},
		Variables:     []appargs.Pair{{Name: "D", Value: "set"}},
	}, image(t, "example.com/i", ","+platform+
		`,"app":{"exec":["/i"],"user":"0","group":"0","environment":[{"name":"A","value":"image"},{"name":"B","value":"image"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := appc.Environment{
		{Name: "A", Value: "image"},
		{Name: "B", Value: "flag"},
		{Name: "C", Value: "file"},
		{Name: "D", Value: "set"},
		{Name: "E", Value: "file"},
	}
	if diff := cmp.Diff(want, m.Apps[0].App.Environment); diff != "" {
		t.Error(diff)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	app := `,"app":{"exec":["/i"],"user":"0","group":"0"}`
	for name, test := range map[string]struct {
		words, fields, want string
	}{
		"two of a name": {"i i", "," + platform + app, "error: multiple apps with name i"},
		"nothing to run": {
			"i", "," + platform,
			"error: image " + id + " has no app section and --exec argument is not provided",
		},
		"empty exec": {
			"i", "," + platform + `,"app":{"exec":[],"user":"0","group":"0"}`,
			`image "example.com/i" has an empty "exec" (try --exec=BINARY)`,
		},
		"no os": {"i", app, `image "example.com/i": missing os label in the image manifest`},
		"other os": {
			"i", `,"labels":[{"name":"os","value":"freebsd"},{"name":"arch","value":"amd64"}]` + app,
			`image "example.com/i": bad os "freebsd" (must be one of: [linux])`,
		},
		"no such capability": {
			"i --caps-retain=CAP_NOPE", "," + platform + app,
			`invalid pod manifest: apps[0].app.isolators[0].value.set[0]: "CAP_NOPE" is not a capability`,
		},
		"bad user": {
			"i --user=a:b", "," + platform + app,
			`invalid pod manifest: apps[0].app.user: "a:b" is neither a name, nor a number, nor a path`,
		},
	} {
		m := image(t, "example.com/i", test.fields)
		if _, err := build(t, test.words, podmanifest.Options{}, m, m); err == nil || err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
	}
}
