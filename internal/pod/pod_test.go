package pod_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rkt/internal/pod"
)

func create(t *testing.T, pods *pod.Pods) *pod.Pod {
	t.Helper()
	p, err := pods.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func get(t *testing.T, pods *pod.Pods, prefix string) *pod.Pod {
	t.Helper()
	p, err := pods.Get(prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func wantState(t *testing.T, p *pod.Pod, want pod.State) {
	t.Helper()
	if got, err := p.State(); err != nil || got != want {
		t.Errorf("state of the pod: %q, %v; want %q", got, err, want)
	}
}

func TestStatesFollowDirectoryAndLock(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	p := create(t, pods)
	reader := get(t, pods, p.UUID)
	wantState(t, reader, pod.Preparing)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	wantState(t, reader, pod.Running) // renamed under the reader
	_ = p.Close()
	wantState(t, reader, pod.Exited)

	aborted := create(t, pods)
	_ = aborted.Close()
	wantState(t, get(t, pods, aborted.UUID), pod.AbortedPrepare)
}

func TestDiscardLeavesNothing(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	pods := pod.In(data)
	for _, started := range []bool{false, true} {
		p := create(t, pods)
		reader := get(t, pods, p.UUID)
		if err := p.WriteFile("stage1/rootfs/rkt/file", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if started {
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Discard(); err != nil {
			t.Fatal(err)
		}
		if _, err := reader.State(); !errors.Is(err, pod.ErrGone) {
			t.Errorf("state of a discarded pod: %v", err)
		}
	}
	wantNoPods(t, data)
}

// wantNoPods looks at the directories themselves, not at what the package says
// about them.
func wantNoPods(t *testing.T, data string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(data, "pods", "*", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestGetByPrefix(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	var uuids []string
	for range 20 { // two of them begin alike: there are 16 first digits
		uuids = append(uuids, create(t, pods).UUID)
	}
	slices.Sort(uuids)
	if p := get(t, pods, strings.ToUpper(uuids[0][:20])); p.UUID != uuids[0] {
		t.Errorf("got %s, want %s", p.UUID, uuids[0])
	}
	var first string
	for i := range len(uuids) - 1 {
		if uuids[i][0] == uuids[i+1][0] {
			first = uuids[i][:1]
		}
	}
	for prefix, want := range map[string]string{
		"":    "UUID cannot be empty",
		"xyz": `no matches found for "xyz"`,
		first: "ambiguous uuid, ",
	} {
		if _, err := pods.Get(prefix); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Get(%q): %v", prefix, err)
		}
	}
	var listed []string
	for p, err := range pods.All() {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, p.UUID)
		_ = p.Close()
	}
	if !slices.Equal(listed, uuids) {
		t.Errorf("listed %v, want %v", listed, uuids)
	}
}

func TestNoPodsAtAll(t *testing.T) {
	t.Parallel()
	pods := pod.In(filepath.Join(t.TempDir(), "missing"))
	for _, err := range pods.All() {
		t.Errorf("All: %v", err)
	}
	if _, err := pods.Get("a"); !errors.Is(err, pod.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
}

func TestUUIDFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := create(t, pod.In(dir))
	file := filepath.Join(dir, "uuid")
	if err := p.WriteUUIDFile(file); err != nil {
		t.Fatal(err)
	}
	if got, err := pod.ReadUUIDFile(file); got != p.UUID || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	for name, content := range map[string]string{"empty": "", "word": "x", "long": strings.Repeat(" ", 5000) + p.UUID} {
		bad := filepath.Join(dir, name)
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pod.ReadUUIDFile(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUIDsAreUnique(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var mu sync.Mutex
	seen := make(map[int]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				p, err := pod.In(data).Create()
				if err != nil {
					t.Error(err)
					return
				}
				uid, err := p.AllocateUID()
				if err != nil || uid < pod.FirstUID || uid >= pod.FirstUID+pod.NumUIDs {
					t.Errorf("uid %d, %v", uid, err)
				}
				mu.Lock()
				if seen[uid] {
					t.Errorf("uid %d was given twice", uid)
				}
				seen[uid] = true
				mu.Unlock()
				_ = p.Close()
			}
		})
	}
	wg.Wait()
}

func TestUIDOfKilledWriterIsNoObstacle(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	if err := create(t, pods).WriteFile("uid", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t, pods).AllocateUID(); err != nil {
		t.Error(err)
	}
}

func TestInfoReadsWhatIsThere(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	p := create(t, pods)
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	if info.Created.IsZero() || !info.Started.IsZero() || info.Pid != 0 || info.Apps != nil {
		t.Errorf("a new pod: %+v", info)
	}
	for name, content := range map[string]string{
		"pod":                          podManifest,
		"pid":                          "4711\n",
		"appsinfo/one/manifest":        imageManifest,
		"stage1/rootfs/rkt/isolation":  "emulated\n",
		"stage1/rootfs/rkt/status/one": "7\n",
	} {
		if err := p.WriteFile(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err = p.Info(); err != nil {
		t.Fatal(err)
	}
	if info.Pid != 4711 || time.Since(info.Started) > time.Minute || info.Isolation != "emulated" {
		t.Errorf("a started pod: %+v", info)
	}
	if len(info.Apps) != 2 {
		t.Fatalf("apps: %+v", info.Apps)
	}
	one, two := info.Apps[0], info.Apps[1]
	if one.ExitCode == nil || *one.ExitCode != 7 || one.Manifest == nil || one.Manifest.Name != "example.com/one" {
		t.Errorf("app that ended: %+v", one)
	}
	if two.ExitCode != nil || two.Manifest != nil {
		t.Errorf("app that goes on: %+v", two)
	}
}

const podManifest = `{"acVersion":"0.8.11","acKind":"PodManifest","apps":[
	{"name":"one","image":{"id":"sha512-` + hex64 + `"},"app":{"exec":["/one"],"user":"0","group":"0"}},
	{"name":"two","image":{"id":"sha512-` + hex64 + `"},"app":{"exec":["/two"],"user":"0","group":"0"}}],
	"volumes":null,"isolators":null,"annotations":null,"ports":null}`

const imageManifest = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/one",
	"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}]}`

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
