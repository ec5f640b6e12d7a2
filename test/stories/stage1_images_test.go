package stories_test

import (
	"maps"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

// brokenStage1s returns images that break the stage1 contract, each in one way.
func brokenStage1s(t *testing.T, program string) map[string][]byte {
	t.Helper()
	manifest := imagetest.Manifest("example.com/stage1", "1.0.0", nil, stage1Annotations)
	changed := func(old, replacement string) string {
		text := strings.Replace(manifest, old, replacement, 1)
		if text == manifest {
			t.Fatalf("nothing to replace: %q", old)
		}
		return text
	}
	script := "#!/bin/sh\nexit 0\n"
	good := map[string]imagetest.Entry{
		"run": imagetest.Program("rootfs/run", program), "stop": imagetest.Program("rootfs/stop", script),
		"gc": imagetest.Program("rootfs/gc", script),
	}
	image := func(manifest string, changes ...imagetest.Entry) []byte {
		entries := maps.Clone(good)
		for _, e := range changes {
			entries[strings.TrimPrefix(e.Header.Name, "rootfs/")] = e
		}
		return imagetest.ACI(t, manifest, entries["run"], entries["stop"], entries["gc"])
	}
	const prefix = `{"name":"coreos.com/rkt/stage1/`
	return map[string][]byte{
		"stage1-good":        image(manifest),
		"stage1-no-run":      image(changed(prefix+`run","value":"/run"},`, "")),
		"stage1-missing":     image(changed(`"/run"`, `"/start"`)),
		"stage1-not-program": image(manifest, imagetest.File("rootfs/gc", script)),
		"stage1-link-out":    image(manifest, imagetest.Symlink("rootfs/gc", "/bin/true")),
		"stage1-no-magic":    image(manifest, imagetest.Program("rootfs/gc", "exit 0\n")),
		"stage1-relative":    image(manifest, imagetest.Program("rootfs/gc", "#!sh\n")),
		"stage1-cut-off":     image(manifest, imagetest.Program("rootfs/run", program[:32])),
		"stage1-word":        image(changed(`"7"`, `"seven"`)),
		"stage1-version-8":   image(changed(`"7"`, `"8"`)),
		"stage1-early":       image(changed(`"7"`, `"6"`)),
		"stage1-format":      image(changed(`"disk"`, `"cpio"`)),
		"stage1-typo":        image(changed(prefix+`stop"`, prefix+`stpo"`)),
		"stage1-arch":        image(changed(`"amd64"`, `"ppc64le"`)),
		"stage1-depends":     image(changed(`"annotations"`, `"dependencies":[{"imageName":"example.com/base"}],"annotations"`)),
		"stage1-dynamic":     image(manifest, imagetest.Program("rootfs/run", dynamicProgram(program))),
	}
}

// dynamicProgram turns the first segment of a 64 bit ELF program into one that
// names an interpreter. Source: System V ABI, "Program Header".
func dynamicProgram(program string) string {
	const tableAt, interpreter = 32, 3
	b := []byte(program)
	b[b[tableAt]] = interpreter
	return string(b)
}
