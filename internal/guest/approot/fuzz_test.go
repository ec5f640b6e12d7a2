package approot

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// FuzzAccounts reads what an image may have for a passwd file.
func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0::/:/\nweb:x:33:\n", "web")
	f.Add("::::\n\x00\n:x:1:", "")
	f.Fuzz(func(t *testing.T, file, name string) {
		id, err := findAccount(strings.NewReader(file), name)
		if err == nil && (name == "" || !strings.Contains(file, name+":") || id == noID) {
			t.Errorf("%q in %q is %d", name, file, id)
		}
	})
}

// FuzzInterpreter reads what an image may have for a program.
func FuzzInterpreter(f *testing.F) {
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Add([]byte("\x7fELF\x02\x01"))
	if b, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(b[:min(len(b), 4096)])
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		name, err := interpreter(bytes.NewReader(program))
		if err == nil && len(name) > maxInterpreter {
			t.Errorf("interpreter has %d bytes", len(name))
		}
	})
}
