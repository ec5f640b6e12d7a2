package archtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// forbidden lists what a program or package must never contain, however far
// away, and why.
var forbidden = []struct{ root, pkg, why string }{
	{"rkt/cmd/rkt", "rkt/internal/stage1/kvm", "rkt knows the stage1 contract, never a flavour"},
	{"rkt/cmd/rkt", "rkt/internal/stage1/supervisor", "the supervisor comes out of the stage1 image"},
	{"rkt/cmd/rkt", "rkt/internal/network", "networks are a stage1's business; rkt knows what it is told of them"},
	{"rkt/internal/network", "rkt/internal/stage1/supervisor", "networks are below the flavours"},
	{"rkt/internal/metadata", "rkt/internal/metadata/service", "a supervisor registers its pod; it answers nobody"},
	{"rkt/internal/metadata/service", "rkt/internal/pod", "the metadata service knows what is registered, and no more"},
	{"rkt/cmd/rkt", "rkt/internal/guest", "only a stage1 talks to a guest"},
	{"rkt/cmd/rkt", "rkt/internal/stage1/nspawn", "rkt knows the stage1 contract, never a flavour"},
	{"rkt/cmd/rkt", "rkt/internal/stage1/fly", "rkt knows the stage1 contract, never a flavour"},
	{"rkt/cmd/guest", "rkt/internal/image", "the agent is small and knows no images"},
	{"rkt/cmd/guest", "rkt/internal/appc", "the supervisor translates manifests"},
	{"rkt/cmd/guest", "rkt/internal/pod", "the agent knows no pod directories"},
	{"rkt/cmd/guest", "rkt/internal/cli", "the agent has no command line"},
	{"rkt/cmd/guest", "rkt/internal/stage1", "the contract is the host's business"},
	{"rkt/cmd/stage1-kvm", "rkt/internal/image", "a supervisor knows no image store"},
	{"rkt/cmd/stage1-kvm", "rkt/internal/pod", "a supervisor sees one pod, its working directory"},
	{"rkt/cmd/stage1-kvm", "rkt/internal/cli", "a supervisor has no command line"},
	{"rkt/cmd/stage1-kvm", "rkt/internal/guest/agent", "host and guest share only the protocol"},
	{"rkt/cmd/stage1-nspawn", "rkt/internal/image", "a supervisor knows no image store"},
	{"rkt/cmd/stage1-nspawn", "rkt/internal/pod", "a supervisor sees one pod, its working directory"},
	{"rkt/cmd/stage1-nspawn", "rkt/internal/cli", "a supervisor has no command line"},
	{"rkt/cmd/stage1-nspawn", "rkt/internal/guest/agent", "host and guest share only the protocol"},
	{"rkt/cmd/stage1-nspawn", "rkt/internal/stage1/kvm", "flavours never meet"},
	{"rkt/cmd/stage1-fly", "rkt/internal/image", "a stage1 knows no image store"},
	{"rkt/cmd/stage1-fly", "rkt/internal/pod", "a stage1 sees one pod, its working directory"},
	{"rkt/cmd/stage1-fly", "rkt/internal/stage1/kvm", "flavours never meet"},
	{"rkt/cmd/stage1-fly", "rkt/internal/stage1/nspawn", "flavours never meet"},
	{"rkt/cmd/stage1-kvm", "rkt/internal/stage1/nspawn", "flavours never meet"},
	{"rkt/internal/stage1/supervisor", "rkt/internal/stage1/nspawn", "what is common to flavours knows none of them"},
	{"rkt/internal/stage1/supervisor", "rkt/internal/stage1/kvm", "what is common to flavours knows none of them"},
	{"rkt/internal/appc", "os", "manifests are pure: no I/O"},
	{"rkt/internal/linux", "rkt/internal/appc", "system calls know nothing of images"},
	{"rkt/internal/image/store", "rkt/internal/pod", "images are below pods"},
	{"rkt/internal/config", "rkt/internal/image", "configuration is below what it configures"},
	{"rkt/internal/pod", "rkt/internal/cli", "the command line is on top"},
}

// direct are packages of which only the direct imports count, and why.
var direct = map[string]string{
	"rkt/internal/appc": "os is linked through the standard library's reflection helpers; only a direct import counts",
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Doc        string
	GoFiles    []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,Doc,GoFiles", "rkt/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string]listed)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, rule := range forbidden {
		p, exists := packages[rule.root]
		if !exists {
			t.Errorf("there is no package %s: the rule about it checks nothing", rule.root)
			continue
		}
		deps := p.Deps
		if direct[rule.root] != "" {
			deps = p.Imports
		}
		for _, dep := range deps {
			if dep == rule.pkg || strings.HasPrefix(dep, rule.pkg+"/") {
				t.Errorf("%s imports %s: %s", rule.root, dep, rule.why)
			}
		}
	}
}

func TestEveryPackageIsExplained(t *testing.T) {
	t.Parallel()
	for path, p := range list(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", path)
		}
	}
}
